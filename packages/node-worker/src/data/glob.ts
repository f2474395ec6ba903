/**
 * Globs over folders: `*` and `?` within a name, `[abc]` a character, `{a,b}` either, `**` any folders. Node has a
 * glob of its own only as an experiment in version 22.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";

export const isGlob = (pattern: string): boolean => /[*?[{]/.test(pattern);

/** The files that match, by name; names that begin with "." only where the pattern says so. */
export async function globFiles(pattern: string, filesMax: number): Promise<string[]> {
  const parts = path.resolve(pattern).split(path.sep);
  const first = parts.findIndex((part) => isGlob(part));
  const found: string[] = [];
  await walk(parts.slice(0, first).join(path.sep) || path.sep, parts.slice(first), { found, filesMax });
  return [...new Set(found)].toSorted((a, b) => (a < b ? -1 : 1));
}

async function walk(folder: string, parts: string[], into: { found: string[]; filesMax: number }): Promise<void> {
  const [part, ...rest] = parts;
  if (into.found.length > into.filesMax) return;
  if (part === "**") await walk(folder, rest.length === 0 ? ["*"] : rest, into);
  const matches = part === "**" ? /^[^.]/ : patternOf(part!);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!matches.test(entry.name) || (entry.name.startsWith(".") && !part!.startsWith("."))) continue;
    const full = path.join(folder, entry.name);
    const isFolder = entry.isSymbolicLink()
      ? ((await stat(full).catch(() => undefined))?.isDirectory() ?? false)
      : entry.isDirectory();
    if (part === "**") {
      // A link may lead back to a folder above: only real folders are gone into at any depth.
      if (entry.isDirectory()) await walk(full, parts, into);
    } else if (rest.length > 0 && isFolder) await walk(full, rest, into);
    else if (rest.length === 0 && !isFolder) into.found.push(full);
  }
}

function patternOf(part: string): RegExp {
  let depth = 0;
  const source = part.replaceAll(/\[!?[^\]]+\]|[\s\S]/g, (token) => {
    if (token.length > 1) return token.replace("[!", "[^").replaceAll("\\", "\\\\");
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token === "{") return (depth++, "(?:");
    if (token === "}" && depth > 0) return (depth--, ")");
    if (token === "," && depth > 0) return "|";
    return token.replaceAll(/[\\^$.|+()[\]{}*?]/g, "\\$&");
  });
  return new RegExp(`^${source}${")".repeat(depth)}$`);
}
