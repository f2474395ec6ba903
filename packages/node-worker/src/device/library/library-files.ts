/**
 * The native files of a library and how long each is. Loading one that was cut short ends the process by a signal, with
 * no word of why, so their lengths are looked at first.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

const LIST = "files.json";

/** Notes all native files in the folder, which is whole. */
export function noteFiles(folder: string): void {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(node|so[.\d]*)$/.test(entry.name))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const lengths = Object.fromEntries(files.map((name) => [name, statSync(path.join(folder, name)).size]));
  writeFileSync(path.join(folder, LIST), `${JSON.stringify(lengths, undefined, 2)}\n`);
}

/** @throws {Error} a file is missing or is not as long as it was: which */
export function checkFiles(folder: string): void {
  const lengths = JSON.parse(readFileSync(path.join(folder, LIST), "utf8")) as Record<string, number>;
  for (const [name, length] of Object.entries(lengths)) {
    const found = statSync(path.join(folder, name), { throwIfNoEntry: false })?.size;
    if (found === undefined) throw new Error(`${name} is missing`);
    if (found !== length) throw new Error(`${name} has ${found} of ${length} bytes`);
  }
}
