/** Where what belongs to this machine and user is kept between runs: libraries that were installed, what was measured. */
import { homedir } from "node:os";
import path from "node:path";

/** `$VOLARY_DEVICES`, or the folder that the system has for such things; it may not exist yet. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { VOLARY_DEVICES: own, XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = env;
  if (own) return path.resolve(own);
  if (process.platform === "win32") return path.join(local ?? path.join(homedir(), "AppData", "Local"), "volary");
  if (process.platform === "darwin") return path.join(homedir(), "Library", "Caches", "volary");
  return path.join(xdg ?? path.join(homedir(), ".cache"), "volary");
}
