/** The memory limit of a PS process, and the disk below it. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { sgd } from "@volary/core";
import { Cluster } from "./cluster/cluster.ts";

const DIM = 256;
/** Half a megabyte: one request, which is applied wholly or not at all. */
const BATCH = 512;
const MIB = 2 ** 20;
/** Seven eighths of it are for rows: some 55,000 of 1 KB. */
const MEMORY_MAX = 64 * MIB;

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-spill-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function clusterOf(spillFolder?: string) {
  const cluster = await Cluster.local({ ps: 1, workers: 1, device: "cpu", memoryMaxBytes: MEMORY_MAX, spillFolder });
  onTestFinished(() => cluster.stop());
  const { rows } = await cluster.tables({
    rows: { dim: DIM, initializer: { kind: "zeros" }, update: sgd({ learningRate: 1 }) },
  });
  return { cluster, rows };
}

/** Batches that are pushed again. */
const TWICE = [0, 100, 431];

const keysOf = (batch: number) => BigUint64Array.from({ length: BATCH }, (_, i) => BigInt(batch * BATCH + i));

/** A gradient that tells its key. */
function gradientsOf(keys: BigUint64Array): Float32Array {
  const gradients = new Float32Array(keys.length * DIM);
  keys.forEach((key, i) => gradients.fill(-Number(key), i * DIM, (i + 1) * DIM));
  return gradients;
}

/** Are all weights of a row `times` its key? */
function areTimes(times: number, keys: BigUint64Array, weights: Float32Array): boolean {
  return weights.every((weight, i) => weight === times * Number(keys[Math.floor(i / DIM)]!));
}

test("a push that memory has no room for is refused with what can be done, and all else goes on", async () => {
  const { cluster, rows } = await clusterOf();
  let pushed = 0;
  const fill = async () => {
    for (; pushed < 200; pushed++) await rows.push(keysOf(pushed), gradientsOf(keysOf(pushed)));
  };
  await expect(fill()).rejects.toThrow(
    /no room for \d+ new rows of table "rows" in partition \d+: .*--memory-max.*eviction.*--spill/,
  );
  expect(pushed).toBeGreaterThan(80);
  const refused = await rows.pull(keysOf(pushed));
  expect(refused.every((weight) => weight === 0)).toBe(true); // nothing of it was applied
  await rows.push(keysOf(0), gradientsOf(keysOf(0)));
  expect(areTimes(2, keysOf(0), await rows.pull(keysOf(0)))).toBe(true);
  const [node] = (await cluster.status()).nodes;
  expect(node!.bytes).toBeLessThanOrEqual(node!.bytesMax!);
});

test("rows that memory has no room for go to disk, and are as they would be in memory", async () => {
  const { cluster, rows } = await clusterOf(folder);
  const batches = Array.from({ length: 432 }, (_, i) => i);
  for (const batch of batches) await rows.push(keysOf(batch), gradientsOf(keysOf(batch)));
  for (const batch of TWICE) await rows.push(keysOf(batch), gradientsOf(keysOf(batch)));
  for (const batch of batches) {
    const times = TWICE.includes(batch) ? 2 : 1;
    expect(areTimes(times, keysOf(batch), await rows.pull(keysOf(batch))), `batch ${batch}`).toBe(true);
  }
  await expect
    .poll(async () => (await cluster.status()).nodes[0])
    .toMatchObject({ rows: 432 * BATCH, diskRows: expect.toSatisfy((rowsOnDisk) => rowsOnDisk > 0.7 * 432 * BATCH) });
  const { bytes, bytesMax } = (await cluster.status()).nodes[0]!;
  expect(bytes).toBeLessThan(1.05 * bytesMax!);
  expect(await readdir(folder)).toEqual([]); // the files have no names
  const { pid } = cluster.processes.find(({ role }) => role === "ps")!;
  const residentKib = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  expect(Number(residentKib) / 1024).toBeLessThan(64 + 250); // of which Node and the frames of 4 MB
});
