/**
 * What was measured on this machine for a job, so that it is measured once: a file for each machine, software and shape
 * of job, in the user's cache folder.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { LIMITS } from "@volary/core/limits";

export interface Remembered {
  /** Where files are kept; made when it is first written to. */
  folder: string;
  /** Everything that the answer depends on. */
  about: unknown;
  /** Measure again, whatever is remembered. */
  fresh?: boolean | undefined;
  /** Resolves after so many milliseconds. */
  wait: (ms: number) => Promise<void>;
}

/** How often a process that waits for another one's answer looks for it. */
const LOOK_EVERY_MS = 200;

/**
 * The answer that is remembered, or else that of `measure`, which is kept. Of several processes that ask at once one
 * measures, since they would spoil each other's times; a folder that cannot be written to keeps nothing.
 */
export async function remembered<T>({ folder, about, fresh, wait }: Remembered, measure: () => Promise<T>): Promise<T> {
  const name = createHash("sha256").update(JSON.stringify(about)).digest("hex").slice(0, 32);
  const file = path.join(folder, `${name}.json`);
  const lock = path.join(folder, `${name}.lock`);
  const canKeep = await mkdir(folder, { recursive: true }).then(
    () => true,
    () => false,
  );
  let isMine = false;
  for (let waitedMs = 0; canKeep; waitedMs += LOOK_EVERY_MS) {
    const known = fresh && waitedMs === 0 ? undefined : await read<T>(file);
    if (known !== undefined) return known;
    const held = await hold(lock);
    isMine = held === "by us";
    if (held !== "by another") break;
    // Whoever holds it may have been killed.
    if (waitedMs > LIMITS.deviceProbeMs) await rm(lock, { force: true });
    await wait(LOOK_EVERY_MS);
  }
  try {
    // Another one may have kept its answer, and let go, between the look for it and the hold.
    const kept = isMine && !fresh ? await read<T>(file) : undefined;
    if (kept !== undefined) return kept;
    const answer = await measure();
    if (isMine) await keep(file, answer).catch(() => {});
    return answer;
  } finally {
    if (isMine) await rm(lock, { force: true }).catch(() => {});
  }
}

async function read<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as T;
  } catch {
    // Not there, or broken: it is measured again.
    return undefined;
  }
}

async function hold(lock: string): Promise<"by us" | "by another" | "by nobody"> {
  try {
    await (await open(lock, "wx")).close();
    return "by us";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EEXIST" ? "by another" : "by nobody";
  }
}

/** Appears whole or not at all; the oldest beyond the limit go. */
async function keep(file: string, answer: unknown): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(answer)}\n`);
  await rename(`${file}.new`, file);
  const folder = path.dirname(file);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  const dated = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(path.join(folder, name))).mtimeMs })),
  );
  const old = dated.toSorted((a, b) => b.at - a.at).slice(LIMITS.deviceProbesKept);
  await Promise.all(old.map(({ name }) => rm(path.join(folder, name), { force: true })));
}
