/**
 * The occurrences of a batch's keys, from the order in which they are looked up (use by use) to the order in which
 * samples are gathered (sample by sample), with what pooled rows are multiplied by and which places of sequences count.
 *
 * Shapes: F uses, B samples, n occurrences, M masked places.
 */
import type { KeyPlan } from "./key-plan.ts";
import { maskedPlaces, type Occurrences, type RowUse } from "./row-use.ts";

/** Where the rows of occurrences are, use by use. */
interface FoundRows {
  /** Index among the unique keys, shape [n]. */
  readonly occurrence: Uint32Array;
  /** Where a unique key's row begins in the flat row buffer. */
  readonly offset: Uint32Array;
}

/**
 * Where each occurrence's row is, sample by sample.
 *
 * @param o.starts where each use's occurrences begin, shape [F + 1]
 */
export function laidOut(o: {
  read: readonly Occurrences[];
  starts: readonly number[];
  samples: number;
  found: FoundRows;
}): Pick<KeyPlan, "offsets" | "lists" | "coefficients"> {
  const { read, starts, samples, found } = o;
  const F = read.length;
  const offsets = new Uint32Array(starts[F]!);
  if (read.every((use) => use.offsets === undefined)) {
    singleOffsets(found, F, samples, offsets);
    return { offsets, lists: undefined, coefficients: undefined };
  }
  const lists = new Uint32Array(samples * F + 1);
  for (const [f, use] of read.entries()) listLengths(use.offsets, f, F, lists);
  for (let i = 1; i < lists.length; i++) lists[i]! += lists[i - 1]!;
  const weighted = read.some((use) => use.coefficients !== undefined);
  const coefficients = weighted ? new Float32Array(offsets.length).fill(1) : undefined;
  for (const [f, use] of read.entries()) {
    listOffsets(found, starts[f]!, f, F, lists, offsets);
    if (use.coefficients) listCoefficients(use.coefficients, f, F, lists, coefficients!);
  }
  return { offsets, lists, coefficients };
}

/** 1 where a masked sequence has a place that counts, shape [B, M]; undefined where M = 0. */
export function masksOf(
  uses: readonly RowUse[],
  read: readonly Occurrences[],
  samples: number,
): Float32Array | undefined {
  const M = uses.reduce((places, use) => places + maskedPlaces(use), 0);
  if (M === 0) return undefined;
  const masks = new Float32Array(samples * M);
  let at = 0;
  for (const [f, use] of uses.entries()) {
    const { keys, offsets } = read[f]!;
    const places = maskedPlaces(use);
    const skipsZero = use.usage?.kind === "sequence" && use.usage.mask === "zero-key" ? 1 : 0;
    if (places > 0) markPlaces(keys, offsets!, skipsZero, at, M, masks);
    at += places;
  }
  return masks;
}

// -- the loops -----------------------------------------------------------------------------------------------

/** One occurrence for each sample and use: from use by use to sample by sample. */
function singleOffsets({ occurrence, offset }: FoundRows, F: number, samples: number, offsets: Uint32Array): void {
  for (let f = 0; f < F; f++) {
    for (let b = 0; b < samples; b++) offsets[b * F + f] = offset[occurrence[f * samples + b]!]!;
  }
}

/** Writes how many occurrences each sample has of use f, one place ahead of where its list begins. */
function listLengths(from: Uint32Array | undefined, f: number, F: number, lists: Uint32Array): void {
  for (let i = f + 1, b = 0; i < lists.length; i += F, b++) lists[i] = from === undefined ? 1 : from[b + 1]! - from[b]!;
}

function listOffsets(
  { occurrence, offset }: FoundRows,
  start: number,
  f: number,
  F: number,
  lists: Uint32Array,
  offsets: Uint32Array,
): void {
  let from = start;
  for (let i = f; i + 1 < lists.length; i += F) {
    const end = lists[i + 1]!;
    for (let at = lists[i]!; at < end; at++) offsets[at] = offset[occurrence[from++]!]!;
  }
}

function listCoefficients(from: Float32Array, f: number, F: number, lists: Uint32Array, to: Float32Array): void {
  let next = 0;
  for (let i = f; i + 1 < lists.length; i += F) {
    const end = lists[i + 1]!;
    for (let at = lists[i]!; at < end; at++) to[at] = from[next++]!;
  }
}

/** Marks the places of one use that hold a key; `skipsZero` leaves out those that hold key 0. */
function markPlaces(
  keys: Uint32Array,
  offsets: Uint32Array,
  skipsZero: number,
  first: number,
  M: number,
  masks: Float32Array,
): void {
  for (let b = 0; b + 1 < offsets.length; b++) {
    const at = b * M + first - offsets[b]!;
    for (let i = offsets[b]!; i < offsets[b + 1]!; i++)
      masks[at + i] = skipsZero === 1 && (keys[2 * i]! | keys[2 * i + 1]!) === 0 ? 0 : 1;
  }
}
