/**
 * `volary device install tensorflow`: brings TensorFlow's library and builds tfjs's binding to it, in a folder of the
 * user's. All is made beside its place and moved there when it computes, so an installation that was interrupted leaves
 * nothing that would be used.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { noteFiles } from "../library/library-files.ts";
import { libraryFolder, type LibraryKind } from "../library/library-folder.ts";
import type { LoadedLibrary } from "../library/load-library.ts";
import { buildBinding } from "./build-binding.ts";
import { checkLibrary } from "./check-library.ts";
import { glibcMinor, OLDEST_GLIBC, unpackWheels } from "./wheels.ts";

export interface InstallOptions {
  kind: LibraryKind;
  /** Takes a line for each step. */
  log: (line: string) => void;
}

export interface InstalledLibrary extends LoadedLibrary {
  folder: string;
  /** It was there and computes; nothing was done. */
  wasThere: boolean;
}

/** On the disk while the wheels are unpacked. */
const GIB_NEEDED: Record<LibraryKind, number> = { cpu: 1.2, gpu: 8 };
const GIB = 2 ** 30;

/** Of folders in the making. */
const PARTIAL = ".partial-";

/**
 * Installs the library, or checks the one that is there and replaces it where it does not compute.
 *
 * @throws {Error} which step failed, why, and the remedy; what was there before is there still
 */
export async function installTensorFlow(options: InstallOptions): Promise<InstalledLibrary> {
  const { kind, log } = options;
  const why = unsupported({ platform: process.platform, arch: process.arch, glibcMinor: glibcMinor() });
  if (why !== undefined) throw new Error(why);
  const folder = libraryFolder(kind);
  const here = await checkInstalled(kind, folder, log);
  if (here !== undefined) return { ...here, folder, wasThere: true };

  const partial = `${folder}${PARTIAL}${process.pid}`;
  await prepareFolder(partial, kind);
  try {
    const scratch = path.join(partial, "scratch");
    await unpackWheels({ kind, site: path.join(partial, "site"), scratch: path.join(scratch, "wheels"), log });
    await buildBinding({ folder: partial, scratch, log });
    await rm(scratch, { recursive: true });
    noteFiles(partial);
    log("checking a product and its gradient");
    const checked = await check(kind, partial);
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
    return { ...checked, folder, wasThere: false };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

export interface Machine {
  platform: string;
  arch: string;
  /** n of glibc 2.n; undefined where the C library is another. */
  glibcMinor: number | undefined;
}

/** Why no library can be installed on a machine, and what to use; undefined where one can. */
export function unsupported({ platform, arch, glibcMinor: minor }: Machine): string | undefined {
  const instead = "--device webgpu uses a GPU there, --device wasm the CPU";
  if (platform !== "linux" || arch !== "x64")
    return `TensorFlow's library is built on Linux x64 alone, and this is ${platform} ${arch}; ${instead}`;
  if (minor !== undefined && minor >= OLDEST_GLIBC) return undefined;
  const has = minor === undefined ? "has another C library" : `has 2.${minor}`;
  return `TensorFlow's wheels need glibc 2.${OLDEST_GLIBC} or newer, and this machine ${has}; ${instead}`;
}

async function checkInstalled(
  kind: LibraryKind,
  folder: string,
  log: (line: string) => void,
): Promise<LoadedLibrary | undefined> {
  if (!existsSync(folder)) return undefined;
  try {
    return await checkLibrary(kind, folder);
  } catch (error) {
    log(`the library in ${folder} is replaced: ${messageOf(error)}`);
    return undefined;
  }
}

async function check(kind: LibraryKind, folder: string): Promise<LoadedLibrary> {
  try {
    return await checkLibrary(kind, folder);
  } catch (cause) {
    throw new Error(`the library was built, but cannot be used: ${messageOf(cause)}; use --device wasm`, { cause });
  }
}

async function prepareFolder(partial: string, kind: LibraryKind): Promise<void> {
  const parent = path.dirname(partial);
  try {
    await mkdir(path.join(partial, "scratch", "wheels"), { recursive: true });
    await removeAbandoned(parent);
    await mkdir(path.join(partial, "site"));
  } catch (cause) {
    const why = `cannot write to ${parent}: ${messageOf(cause)}`;
    throw new Error(`${why}; name another folder in the variable VOLARY_DEVICES`, { cause });
  }
  const { bavail, bsize } = await statfs(parent);
  const free = (bavail * bsize) / GIB;
  if (free >= GIB_NEEDED[kind]) return;
  await rm(partial, { recursive: true });
  throw new Error(
    `${parent} has ${free.toFixed(1)} GiB free, and the installation needs ${GIB_NEEDED[kind]}; free some, or name a ` +
      `folder on another disk in the variable VOLARY_DEVICES`,
  );
}

/** What installations that were interrupted left behind. */
async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const maker = Number(name.split(PARTIAL)[1]);
    if (Number.isInteger(maker) && !isAlive(maker)) await rm(path.join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
