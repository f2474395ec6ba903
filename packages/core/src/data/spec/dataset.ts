/**
 * What the training loop needs of data, whatever file or network it came from.
 *
 * Readers turn a {@link DataSpec} into a {@link ColumnTable} where all rows fit in memory, or a {@link RowSource}
 * where they do not; `openDataset` and `openStreamedDataset` (pure) make the {@link Dataset}.
 */

export type Column =
  /** NaN where a value is missing. */
  | { kind: "number"; values: Float64Array }
  /** `missing[row]` is 1 where a value is missing; absent where none is. */
  | { kind: "int64"; values: BigInt64Array; missing?: Uint8Array | undefined }
  /** Dictionary-coded: `dictionary[codes[row]]`. A missing value is the empty string. */
  | { kind: "string"; codes: Uint32Array; dictionary: readonly string[]; utf8?: Utf8Strings | undefined }
  /** Row r has the elements [offsets[r], offsets[r + 1]) of `elements`. A missing list is an empty one. */
  | { kind: "list"; offsets: Uint32Array; elements: Exclude<Column, { kind: "list" }> };

/** Strings as a reader has them before anyone wants them as JavaScript's: a batch that is only hashed never does. */
export interface Utf8Strings {
  readonly size: number;
  /** String i is `bytes[ends[i − 1], ends[i])`. */
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

export interface ColumnTable {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, Column>;
  /** Rows that could not be read; their cells hold nothing of use. */
  readonly badRows?: readonly BadRow[] | undefined;
  /** First row that comes from the files of a `files` split; undefined where there is no such split. */
  readonly testFrom?: number | undefined;
  /** For people: where a row lies, as `train.csv:1042`. Absent where the table does not know. */
  placeOf?(row: number): string;
}

/** A row that cannot be used: where it is, and why. */
export interface BadRow {
  /** Row number in its table. */
  readonly row: number;
  /** For people: file and line, as `train.csv:1042`. */
  readonly place: string;
  /** What is wrong, what was expected. */
  readonly fault: string;
}

/** The rows of a data set that is larger than memory. */
export interface RowSource {
  readonly rows: number;
  /** A hash of the bytes the rows come from. */
  readonly fingerprint: string;
  /** Rows that lie together, and how many such blocks a reader keeps: the order of an epoch mixes rows within these. */
  readonly blockRows: number;
  readonly windowBlocks: number;
  /** As in {@link ColumnTable}. */
  readonly testFrom?: number | undefined;
  /** Every row once, in order, in tables of a few thousand rows. */
  scan(columns: readonly string[]): AsyncIterable<ColumnTable>;
  /** The given rows, in the order given, which is fast where they lie in few blocks. */
  read(rows: Uint32Array, columns: readonly string[]): Promise<ColumnTable>;
  close(): Promise<void>;
}

export type Split = "train" | "test";

/**
 * What the model wants of a field: one 64-bit key a sample, a list of keys, `width` float32 numbers a sample, or a
 * list of numbers. `integers` is the dtype of an input that takes integers for keys: a column of strings is refused then,
 * as hashed ones would be other keys than the author means.
 */
export type FieldDemand =
  | { name: string; as: "keys"; integers?: IntegerDtype | undefined }
  | { name: string; as: "keyLists"; integers?: IntegerDtype | undefined }
  | { name: string; as: "numbers"; width: number }
  | { name: string; as: "numberLists" };

export type IntegerDtype = "int32" | "int64";

/** Sample b has the elements [offsets[b], offsets[b + 1]). */
export interface KeyLists {
  /** Shape [B + 1], from 0. */
  readonly offsets: Uint32Array;
  /** 64-bit keys as little-endian u32 pairs, low word first. */
  readonly keys: Uint32Array;
}

export interface NumberLists {
  /** Shape [B + 1], from 0. */
  readonly offsets: Uint32Array;
  readonly values: Float32Array;
}

/** B samples. */
export interface Batch {
  readonly samples: number;
  /** Per field demanded as keys: 64-bit keys as little-endian u32 pairs (low word first), length 2B. */
  readonly keys: ReadonlyMap<string, Uint32Array>;
  readonly keyLists: ReadonlyMap<string, KeyLists>;
  /** Per field demanded as numbers: float32, shape [B, width]. */
  readonly numbers: ReadonlyMap<string, Float32Array>;
  readonly numberLists: ReadonlyMap<string, NumberLists>;
  /** float32, shape [B, labelWidth] */
  readonly label: Float32Array;
  /**
   * float32, shape [B]; 0 for a bad row, whose keys, numbers and label are 0 and whose lists are empty. Undefined where
   * every weight is 1.
   */
  readonly weight: Float32Array | undefined;
  /** Keys of the samples' groups, u32 pairs, length 2B; undefined where the data has no group. */
  readonly group: Uint32Array | undefined;
}

export interface Dataset {
  readonly trainRows: number;
  readonly testRows: number;
  /** Floats of a sample's label. */
  readonly labelWidth: number;
  /** A hash of the data that workers compare: two workers of one job must see the same rows. */
  readonly fingerprint: string;
  /** How the epoch order mixes training rows: see {@link EpochOrder}. Undefined: all with all. */
  readonly blocks: { blockRows: number; windowBlocks: number } | undefined;
  /**
   * Reads samples by their numbers in a split, in the order given. The caller owns the arrays.
   *
   * @param epoch from 0; only fields that are drawn anew for each epoch depend on it
   * @throws {ClusterError} BAD_DATA: more than `badRowsMax` bad rows, the first ones with their places
   */
  read(split: Split, samples: Uint32Array, epoch: number): Batch | Promise<Batch>;
  /** Bad rows met so far, and the first few of them. */
  badRows(): { count: number; first: readonly BadRow[] };
  close(): Promise<void>;
}

/** A data set whose rows are all in memory. */
export interface MemoryDataset extends Dataset {
  read(split: Split, samples: Uint32Array, epoch?: number): Batch;
}
