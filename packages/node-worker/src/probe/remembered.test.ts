import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { LIMITS } from "@volary/core/limits";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { remembered } from "./remembered.ts";

/** What happens before a lock is opened. */
const lock = vi.hoisted(() => ({ before: (): Promise<void> => Promise.resolve() }));
vi.mock(import("node:fs/promises"), async (original) => {
  const real = await original();
  return { ...real, open: (...args: Parameters<typeof real.open>) => lock.before().then(() => real.open(...args)) };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-remembered-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const never = (): Promise<never> => Promise.reject(new Error("measured again"));
const noWait = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const ask = <T>(about: unknown, measure: () => Promise<T>, fresh = false) =>
  remembered({ folder, about, fresh, wait: noWait }, measure);

test("remembered() measures once for each thing, and again when it is told to", async () => {
  expect(await ask({ job: 1 }, async () => ["wasm"])).toEqual(["wasm"]);
  expect(await ask({ job: 1 }, never)).toEqual(["wasm"]);
  expect(await ask({ job: 2 }, async () => ["cuda"])).toEqual(["cuda"]);
  expect(await ask({ job: 1 }, async () => ["cpu"], true)).toEqual(["cpu"]);
  expect(await ask({ job: 1 }, never)).toEqual(["cpu"]);
});

test("of those who ask at once, one measures and the others wait for its answer", async () => {
  let measured = 0;
  const measure = async () => {
    await noWait();
    return ++measured;
  };
  expect(await Promise.all([1, 2, 3].map(() => ask("a job", measure)))).toEqual([1, 1, 1]);
  expect((await readdir(folder)).filter((name) => !name.endsWith(".json"))).toEqual([]);
});

test("an answer that is kept between the look for it and the hold is taken", async () => {
  lock.before = async () => {
    lock.before = () => Promise.resolve();
    await ask("a job", async () => 1);
  };
  expect(await ask("a job", never)).toBe(1);
  expect(await readdir(folder)).toHaveLength(1);
});

test("what failed is not remembered, and holds up nobody", async () => {
  await expect(ask("a job", never)).rejects.toThrow("measured again");
  expect(await ask("a job", async () => 1)).toBe(1);
});

test("what whoever was killed held is taken over in the end", async () => {
  await ask("a job", async () => 1);
  const [name] = await readdir(folder);
  await rm(path.join(folder, name!));
  await writeFile(path.join(folder, name!.replace(".json", ".lock")), "");
  let waits = 0;
  const wait = async () => void waits++;
  expect(await remembered({ folder, about: "a job", wait }, async () => 2)).toBe(2);
  expect(waits * 200).toBeGreaterThan(LIMITS.deviceProbeMs);
});

test("a broken file is measured anew, and only so many are kept", async () => {
  await ask("a job", async () => 1);
  const [name] = await readdir(folder);
  await writeFile(path.join(folder, name!), "{");
  expect(await ask("a job", async () => 2)).toBe(2);
  for (let i = 0; i < LIMITS.deviceProbesKept + 3; i++) await ask({ i }, async () => i);
  expect(await readdir(folder)).toHaveLength(LIMITS.deviceProbesKept);
});

test("where nothing can be written, it is measured every time", async () => {
  const file = path.join(folder, "a-file");
  await writeFile(file, "");
  const within = { folder: path.join(file, "below"), about: "a job", wait: noWait };
  expect(await remembered(within, async () => 1)).toBe(1);
  expect(await remembered(within, async () => 2)).toBe(2);
});
