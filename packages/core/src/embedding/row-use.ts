/**
 * How a model uses a table's rows, and which keys of a batch it really reads: one key a sample, a list that is
 * combined to one row (as tf.nn.embedding_lookup_sparse), or a list cut or padded to a sequence (as Keras pads).
 *
 * Shapes: B samples, n keys of one use in a batch.
 */

/** One key gives [dim]; a pooled list gives [dim]; a sequence gives [length, dim]. */
export type RowUsage =
  | { readonly kind: "one" }
  | {
      readonly kind: "pooled";
      readonly combiner: "sum" | "mean" | "sqrtn";
      /** The first so many keys of a list; all of them without it. */
      readonly length?: number | undefined;
    }
  | { readonly kind: "sequence"; readonly length: number; readonly mask: "none" | "padding" | "zero-key" };

/** One use of a table by the model: which table a field's keys read, how wide its rows are, what becomes of them. */
export interface RowUse {
  /** The table's number on the wire. */
  readonly table: number;
  readonly dim: number;
  /** One key a sample by default. */
  readonly usage?: RowUsage | undefined;
}

/** The keys of one use in a batch, as data sets give them. */
export interface UseKeys {
  /** 64-bit keys as little-endian u32 pairs, low word first, length 2n. */
  readonly keys: Uint32Array;
  /** Sample b has the keys [offsets[b], offsets[b + 1]), shape [B + 1]; undefined: one each. */
  readonly offsets?: Uint32Array | undefined;
  /** A weight for each key of a pooled list; every weight is 1 without them. */
  readonly weights?: { readonly offsets: Uint32Array; readonly values: Float32Array } | undefined;
}

/** The keys whose rows a use reads, list after list. */
export interface Occurrences {
  readonly keys: Uint32Array;
  /** Shape [B + 1]; undefined: one each. */
  readonly offsets: Uint32Array | undefined;
  /** What each row is multiplied by, shape [n]; undefined: 1. */
  readonly coefficients: Float32Array | undefined;
}

/** Floats of a sample that a use gives. */
export function floatsOf({ dim, usage }: RowUse): number {
  return usage?.kind === "sequence" ? usage.length * dim : dim;
}

/** Places of a sample that a use has a mask for. */
export function maskedPlaces({ usage }: RowUse): number {
  return usage?.kind === "sequence" && usage.mask !== "none" ? usage.length : 0;
}

/**
 * The keys a use reads: lists cut to their length, and each key's coefficient where the use is pooled.
 *
 * @param use.place for messages, as "use 3"
 * @throws {RangeError} arrays that do not fit together
 */
export function occurrencesOf({
  usage = ONE,
  use,
  samples,
  place,
}: {
  usage: RowUsage | undefined;
  use: UseKeys;
  samples: number;
  place: string;
}): Occurrences {
  const { keys, offsets } = use;
  if (usage.kind === "one") {
    if (offsets !== undefined) throw new RangeError(`keys of ${place} are lists; it takes one key a sample`);
    if (keys.length !== 2 * samples)
      throw new RangeError(`keys of ${place} have ${keys.length} words; ${samples} samples need ${2 * samples}`);
    return { keys, offsets: undefined, coefficients: undefined };
  }
  if (offsets === undefined) throw new RangeError(`keys of ${place} come without offsets; it takes lists`);
  if (offsets.length !== samples + 1 || offsets[0] !== 0 || keys.length !== 2 * offsets[samples]!) {
    throw new RangeError(
      `keys of ${place} have ${keys.length} words and ${offsets.length} offsets, the last ${offsets.at(-1)}; ` +
        `${samples} samples need ${samples + 1} offsets from 0 to half the words`,
    );
  }
  const cut = usage.length === undefined ? { keys, offsets } : cutLists(keys, offsets, usage.length);
  if (usage.kind === "sequence") return { ...cut, coefficients: undefined };
  const { combiner } = usage;
  if (combiner === "sum" && use.weights === undefined) return { ...cut, coefficients: undefined };
  const coefficients = new Float32Array(cut.keys.length / 2);
  if (use.weights !== undefined) takeWeights({ ...use.weights, listOffsets: offsets, cut: cut.offsets, coefficients });
  else coefficients.fill(1);
  if (combiner === "mean") divideByTotal(cut.offsets, coefficients);
  else if (combiner === "sqrtn") divideByLength(cut.offsets, coefficients);
  return { ...cut, coefficients };
}

const ONE: RowUsage = { kind: "one" };

// -- the loops -----------------------------------------------------------------------------------------------

function cutLists(
  keys: Uint32Array,
  offsets: Uint32Array,
  length: number,
): { keys: Uint32Array; offsets: Uint32Array } {
  const B = offsets.length - 1;
  const cut = new Uint32Array(B + 1);
  for (let b = 0; b < B; b++) cut[b + 1] = cut[b]! + Math.min(offsets[b + 1]! - offsets[b]!, length);
  if (cut[B] === offsets[B]) return { keys, offsets };
  const kept = new Uint32Array(2 * cut[B]!);
  for (let b = 0; b < B; b++) {
    const from = 2 * offsets[b]!;
    const at = 2 * cut[b]!;
    const words = 2 * cut[b + 1]! - at;
    for (let w = 0; w < words; w++) kept[at + w] = keys[from + w]!;
  }
  return { keys: kept, offsets: cut };
}

/** A list with another number of weights than of keys, and a weight that is not finite, belong to a bad row: 0. */
function takeWeights(o: {
  offsets: Uint32Array;
  values: Float32Array;
  listOffsets: Uint32Array;
  cut: Uint32Array;
  coefficients: Float32Array;
}): void {
  const { offsets, values, listOffsets, cut, coefficients } = o;
  for (let b = 0; b + 1 < cut.length; b++) {
    const from = offsets[b]!;
    if (offsets[b + 1]! - from !== listOffsets[b + 1]! - listOffsets[b]!) continue;
    const at = cut[b]!;
    const count = cut[b + 1]! - at;
    for (let i = 0; i < count; i++) {
      const weight = values[from + i]!;
      coefficients[at + i] = weight - weight === 0 ? weight : 0;
    }
  }
}

/** w / Σ w; 0 where the weights add up to 0. */
function divideByTotal(offsets: Uint32Array, coefficients: Float32Array): void {
  for (let b = 0; b + 1 < offsets.length; b++) {
    let total = 0;
    for (let i = offsets[b]!; i < offsets[b + 1]!; i++) total += coefficients[i]!;
    const scale = total === 0 ? 0 : 1 / total;
    for (let i = offsets[b]!; i < offsets[b + 1]!; i++) coefficients[i]! *= scale;
  }
}

/** w / √Σ w²; 0 where all weights are 0. */
function divideByLength(offsets: Uint32Array, coefficients: Float32Array): void {
  for (let b = 0; b + 1 < offsets.length; b++) {
    let squares = 0;
    for (let i = offsets[b]!; i < offsets[b + 1]!; i++) squares += coefficients[i]! * coefficients[i]!;
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let i = offsets[b]!; i < offsets[b + 1]!; i++) coefficients[i]! *= scale;
  }
}
