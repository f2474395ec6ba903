/**
 * From a file spec to a path on this machine. Packages are looked for as Node does, in the `node_modules` of each
 * folder upwards, but by folder: the `exports` of a data package usually hide its files from `import.meta.resolve`.
 */
import { nearestName, type FileSpec } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { globFiles, isGlob } from "./glob.ts";

/**
 * @param baseDirs folders to start from, the first that has the file wins: the job file's, then the process's
 * @returns absolute paths: one, or all files of a folder or a glob by name
 * @throws {ClusterError} BAD_DATA: no such file, a folder or glob without any, or the package is not installed
 */
export async function resolveLocalFiles(
  file: Extract<FileSpec, { kind: "npm" | "file" }>,
  baseDirs: readonly string[],
): Promise<string[]> {
  return file.kind === "npm" ? [await resolveNpmFile(file.path, baseDirs)] : resolvePlainFiles(file.path, baseDirs);
}

async function resolvePlainFiles(filePath: string, baseDirs: readonly string[]): Promise<string[]> {
  const folders = path.isAbsolute(filePath) ? ["/"] : baseDirs;
  const tried = [...new Set(folders.map((folder) => path.resolve(folder, filePath)))];
  for (const candidate of tried) {
    const found = await stat(candidate).catch(() => undefined);
    if (found?.isFile()) return [candidate];
    if (found?.isDirectory()) return filesIn(candidate);
    const matches = isGlob(filePath) ? await globFiles(candidate, LIMITS.dataFilesMax) : [];
    if (matches.length > 0) return matches;
  }
  const looked = `looked for ${tried.join(", ")}; give an absolute path, or one relative to the job file, or to this folder where there is no job`;
  const what = isGlob(filePath) ? "no file matches" : "no file";
  throw new ClusterError("BAD_DATA", `${what} ${JSON.stringify(filePath)}: ${looked}`);
}

/** Hidden files, and those that writers of whole folders leave behind ("_SUCCESS"), are no data. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory() && !/^[._]/.test(entry.name)).map(({ name }) => name);
  if (names.length > 0) return names.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => path.join(folder, name));
  throw new ClusterError(
    "BAD_DATA",
    `the folder ${folder} has no files; folders within are named by a glob, as "${folder}/**"`,
  );
}

async function resolveNpmFile(filePath: string, baseDirs: readonly string[]): Promise<string> {
  const { packageName, inside } = splitNpmPath(filePath);
  let packageDir: string | undefined;
  for (const candidate of packageDirs(packageName, baseDirs)) {
    if (await isFile(path.join(candidate, inside))) return path.join(candidate, inside);
    if (await isFile(path.join(candidate, "package.json"))) packageDir ??= candidate;
  }
  if (packageDir !== undefined) throw await noSuchFileInPackage({ packageName, packageDir, inside });
  throw new ClusterError(
    "BAD_DATA",
    `the data file ${JSON.stringify(filePath)} lies in the npm package "${packageName}", which is not installed in ` +
      `${baseDirs.join(", ")} or a folder above: run \`npm install ${packageName}\` there`,
  );
}

/** A path that leaves its package is refused: a job may come from another machine. */
function splitNpmPath(filePath: string): { packageName: string; inside: string } {
  const parts = filePath.split("/");
  const inside = parts.splice(filePath.startsWith("@") ? 2 : 1);
  const isClean = [...parts, ...inside].every(
    (part) => part !== "" && part !== "." && part !== ".." && !part.includes("\\"),
  );
  if (isClean && inside.length > 0) return { packageName: parts.join("/"), inside: inside.join("/") };
  throw new ClusterError(
    "BAD_DATA",
    `npm file ${JSON.stringify(filePath)}: expected "package/path/inside", without ".."`,
  );
}

function* packageDirs(packageName: string, baseDirs: readonly string[]): Generator<string> {
  for (const baseDir of baseDirs) {
    for (let dir = path.resolve(baseDir); ; dir = path.dirname(dir)) {
      yield path.join(dir, "node_modules", packageName);
      if (dir === path.dirname(dir)) break;
    }
  }
}

async function noSuchFileInPackage(missing: {
  packageName: string;
  packageDir: string;
  inside: string;
}): Promise<ClusterError> {
  const { packageName, packageDir, inside } = missing;
  const siblings = await readdir(path.join(packageDir, path.dirname(inside))).catch(() => []);
  const { version } = JSON.parse(await readFile(path.join(packageDir, "package.json"), "utf8")) as { version?: string };
  const near = nearestName(path.basename(inside), siblings);
  return new ClusterError(
    "BAD_DATA",
    `the npm package "${packageName}" ${version ?? ""} in ${packageDir} has no file "${inside}"` +
      `${near === undefined ? "" : `; did you mean "${path.posix.join(path.posix.dirname(inside), near)}"?`}`,
  );
}

async function isFile(candidate: string): Promise<boolean> {
  return (await stat(candidate).catch(() => undefined))?.isFile() ?? false;
}
