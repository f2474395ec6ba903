/**
 * Plugin files: the functions a cluster cannot be sent. Each node imports its operator's own copy (`--plugin FILE`),
 * and a job names a function by the hash of its file; what is in them is `@volary/core/plugin`'s.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { OptimizerSpec } from "@volary/core/optimizer";
import { pluginOf, Plugins, type Plugin } from "@volary/core/plugin";
import { resolveOwnPackages } from "./own-packages.ts";
import { codeOf, messageOf, UserError } from "./user-error.ts";

/** A path, relative to the working folder, or `new URL("./updates.ts", import.meta.url)`. */
export type PluginFile = string | URL;

/**
 * Imports plugin files.
 *
 * @throws {UserError} no such file, or it fails while it is loaded
 * @throws {RangeError} two functions of one name
 */
export async function loadPlugins(files: readonly PluginFile[]): Promise<Plugins> {
  const paths = [...new Set(files.map(pluginPath))];
  return files.length === 0 ? Plugins.none : new Plugins(await Promise.all(paths.map(loadPlugin)));
}

/**
 * Names a server update of a plugin file, for `cluster.tables` or an embedding's `optimizer`. The file is read and
 * hashed here; the PS nodes must have loaded the same bytes.
 *
 * @param update the name given to `serverUpdate()`
 * @param options over the update's own
 * @throws {UserError} the file cannot be read
 * @example const tables = await cluster.tables({ c: { dim: 8, update: plugin("./updates.ts", "clippedSgd") } });
 */
export function plugin(
  file: PluginFile,
  update: string,
  options: Readonly<Record<string, number>> = {},
): Extract<OptimizerSpec, { kind: "custom" }> {
  return { kind: "custom", update, sha256: sha256Of(pluginPath(file)), options: { ...options } };
}

/** Absolute. */
export function pluginPath(file: PluginFile): string {
  return path.resolve(file instanceof URL ? fileURLToPath(file) : file);
}

async function loadPlugin(file: string): Promise<Plugin> {
  // Hashed before it is imported: a file that changes in between is told by its hash, not run under the wrong one.
  const sha256 = sha256Of(file);
  resolveOwnPackages();
  try {
    const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    return pluginOf({ file: path.relative("", file) || file, sha256, module });
  } catch (cause) {
    throw new UserError(`plugin file ${file} failed while it was loaded: ${messageOf(cause)}`, { cause });
  }
}

function sha256Of(file: string): string {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch (cause) {
    const why = codeOf(cause) === "ENOENT" ? "there is none" : messageOf(cause);
    throw new UserError(
      `plugin file ${file} cannot be read: ${why}; give the path of a TypeScript or JavaScript file`,
      {
        cause,
      },
    );
  }
}
