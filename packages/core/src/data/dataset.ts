/**
 * What the training loop needs of data, whatever file or network it came from.
 *
 * Readers (node-worker, browser-worker) turn a {@link DataSpec} into a {@link ColumnTable}; `openDataset` (pure)
 * makes the {@link Dataset}.
 */

export type Column =
  | { kind: "number"; values: Float64Array }
  | { kind: "int64"; values: BigInt64Array }
  /** Dictionary-coded: `dictionary[codes[row]]`. */
  | { kind: "string"; codes: Uint32Array; dictionary: readonly string[] };

export interface ColumnTable {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, Column>;
}

export type Split = "train" | "test";

/** What the model wants of a field: 64-bit keys for an embedding, or float32 numbers. */
export type FieldDemand = { name: string; as: "keys" | "numbers" };

/** B samples. */
export interface Batch {
  readonly samples: number;
  /** Per key field: 64-bit keys as little-endian u32 pairs (low word first), length 2B. */
  readonly keys: ReadonlyMap<string, Uint32Array>;
  /** Per number field: float32, shape [B]. */
  readonly numbers: ReadonlyMap<string, Float32Array>;
  /** float32, shape [B]. */
  readonly label: Float32Array;
}

export interface Dataset {
  readonly trainRows: number;
  readonly testRows: number;
  /** A hash of the data that workers compare: two workers of one job must see the same rows. */
  readonly fingerprint: string;
  /** Reads samples by their numbers in a split, in the order given. The caller owns the arrays. */
  read(split: Split, samples: Uint32Array): Batch;
}
