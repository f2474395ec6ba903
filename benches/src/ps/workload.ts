/**
 * The workload of the parameter server bench: which keys, what is in their rows, which batches. `native/workload.h`
 * says the same in C, bit for bit, so that what any of the systems answers can be checked from outside.
 *
 * A row has a number, its *index*; keys and contents are functions of it. Batches follow a Zipf law over ranks, and a
 * permutation says which row has which rank, so that hot rows are not neighbours.
 */
import { writeFile } from "node:fs/promises";
import { seededRandom } from "@volary/core/testing";
import { permutation, zipfRanks } from "../keys/zipf.ts";

const GOLDEN = 0x9e3779b1;
const ROUND_STEP = 0x85ebca6b;

export interface Workload {
  /** Rows of the table. */
  rows: number;
  dim: number;
  /** Unique indexes of each batch, ascending by key. */
  batches: readonly Uint32Array[];
}

export interface WorkloadOptions {
  rows: number;
  dim: number;
  batches: number;
  /** Occurrences of keys in a batch, before equal ones are joined. */
  draws: number;
  seed: number;
}

export function newWorkload({ rows, dim, batches, draws, seed }: WorkloadOptions): Workload {
  const random = seededRandom(seed);
  const rankOf = zipfRanks(rows);
  const indexes = permutation(rows, random);
  const drawn = Array.from({ length: batches }, () => {
    const found = new Set<number>();
    for (let i = 0; i < draws; i++) found.add(indexes[rankOf(random.next())]!);
    return Uint32Array.from(found).sort((a, b) => keyHigh(a) - keyHigh(b) || keyLow(a) - keyLow(b));
  });
  return { rows, dim, batches: drawn };
}

/** As `native/workload.h` reads it: u32 batches, then for each u32 n and u32 indexes[n]. */
export async function writeBatches(file: string, batches: readonly Uint32Array[]): Promise<void> {
  const words = [Uint32Array.of(batches.length), ...batches.flatMap((of) => [Uint32Array.of(of.length), of])];
  await writeFile(file, Buffer.concat(words.map((of) => Buffer.from(of.buffer, of.byteOffset, of.byteLength))));
}

/** What {@link writeBatches} wrote. */
export function batchesFrom(bytes: Uint8Array): Uint32Array[] {
  const words = new Uint32Array(bytes.slice().buffer);
  const batches: Uint32Array[] = [];
  for (let at = 1; batches.length < words[0]!; at += 1 + words[at]!) {
    batches.push(words.subarray(at + 1, at + 1 + words[at]!));
  }
  return batches;
}

/** A bijection of u32 that changes half of the bits when one changes (C. Wellons, "lowbias32"). */
function mix(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The words of a row's key. */
export const keyLow = (index: number): number => mix(index);
export const keyHigh = (index: number): number => mix(index ^ 0x5bd1e995);

/** Keys as pairs of words, low word first, shape [n, 2]. */
export function keyWords(indexes: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(2 * indexes.length);
  for (let i = 0; i < indexes.length; i++) {
    words[2 * i] = keyLow(indexes[i]!);
    words[2 * i + 1] = keyHigh(indexes[i]!);
  }
  return words;
}

/**
 * Writes what round `round` pushes for a key, in [−0.5, 0.5); round 0 is what a table is filled with.
 *
 * @param low of the key
 */
export function fillRow(rows: Float32Array, at: number, o: { low: number; round: number; dim: number }): void {
  const from = o.low + Math.imul(o.round, ROUND_STEP);
  for (let d = 0; d < o.dim; d++) rows[at + d] = (mix(from + Math.imul(d, GOLDEN)) >>> 8) * 2 ** -24 - 0.5;
}

/**
 * A number that a changed bit, a row under another key, or a missing row changes, whatever the order of rows.
 *
 * @param words the bits of rows of floats
 * @param low of the row's key
 */
export function rowSum(words: Uint32Array, at: number, { low, dim }: { low: number; dim: number }): number {
  let sum = 0;
  for (let d = 0; d < dim; d++) sum = (sum + Math.imul(words[at + d]!, (low + Math.imul(d, GOLDEN)) | 1)) | 0;
  return sum;
}
