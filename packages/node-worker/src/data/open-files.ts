/** From file specs to files that can be read, wherever they lie. */
import type { FileSpec } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { createWriteStream } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { httpFile } from "./http-file.ts";
import { resolveLocalFiles } from "./resolve-file.ts";
import { s3Files } from "./s3-file.ts";
import { localFile, type SourceFile } from "./source-file.ts";
import { contentsOf, isPacked, unpackedName } from "./unpack.ts";

/**
 * All files of `specs` in order, folders, globs and prefixes spread out. The caller closes them.
 *
 * @throws {ClusterError} BAD_DATA: one is missing, cannot be read, or there are more than `LIMITS.dataFilesMax`
 */
export async function openFiles(specs: readonly FileSpec[], baseDirs: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  try {
    for (const spec of specs) {
      files.push(...(await openSpec(spec, baseDirs)));
      if (files.length <= LIMITS.dataFilesMax) continue;
      throw new ClusterError("BAD_DATA", `more than ${LIMITS.dataFilesMax} data files; join some of them`);
    }
    return files;
  } catch (error) {
    await closeFiles(files);
    throw error;
  }
}

/** What the files are now: the same text as long as none of them changes. Throws as {@link openFiles} does. */
export async function versionOfFiles(specs: readonly FileSpec[], baseDirs: readonly string[]): Promise<string> {
  const files = await openFiles(specs, baseDirs);
  await closeFiles(files);
  return JSON.stringify(files.map(({ name, version }) => [name, version]));
}

export async function closeFiles(files: readonly SourceFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}

/** A copy in `folder` of a file that is packed or lies elsewhere, with the same name to people. */
export async function onDisk(file: SourceFile, o: { folder: string; number: number }): Promise<SourceFile> {
  if (file.isLocal && !isPacked(file.name)) return file;
  const copy = path.join(o.folder, String(o.number));
  await pipeline(contentsOf(file), createWriteStream(copy));
  await file.close();
  return localFile(copy, unpackedName(file.name));
}

async function openSpec(spec: FileSpec, baseDirs: readonly string[]): Promise<SourceFile[]> {
  switch (spec.kind) {
    case "npm":
    case "file": {
      const files: SourceFile[] = [];
      for (const each of await resolveLocalFiles(spec, baseDirs)) files.push(await localFile(each));
      return files;
    }
    case "http":
      return [await httpFile(spec.url)];
    case "s3":
      return s3Files(spec, LIMITS.dataFilesMax);
    default:
      return spec satisfies never;
  }
}
