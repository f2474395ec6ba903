/**
 * A data set as data: where its rows lie, which fields are made of its columns, what the label is and which
 * rows are held out. Nothing here is code, so it travels in a job manifest and means the same everywhere.
 */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";

const column = z.string().min(1).max(200);
const finite = z.number().finite();

/**
 * Where the bytes lie. `npm`: a file inside an installed npm package; `file`: a path, a folder or a glob on the
 * reader's machine; `http`: an http(s) address; `s3`: an object, or every object under a prefix that ends in "/".
 * A name that ends in .gz or .zst is unpacked while it is read.
 */
export const fileSpecSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("npm"), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal("file"), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal("http"), url: z.string().min(1) }),
  z.strictObject({
    kind: z.literal("s3"),
    bucket: z.string().min(1),
    key: z.string(),
    region: z.string().optional(),
    /** Of a server that is not Amazon's, as http://127.0.0.1:9000. */
    endpoint: z.string().optional(),
  }),
]);
// `Extract` leaves all of it, and lets editors and messages call it by its name.
/** Where the bytes of a file lie, as `npmFile()` and its like make it. */
export type FileSpec = Extract<z.infer<typeof fileSpecSchema>, object>;

/** What a column of a text format holds; `[]` for a list of them. */
export const columnTypeSchema = z.enum(["string", "int64", "number", "timestamp", "string[]", "int64[]", "number[]"]);
/**
 * What a column of a text format holds; `[]` for a list of them.
 *
 * @useDeclaredType
 */
export type ColumnType = z.infer<typeof columnTypeSchema>;
const columnTypes = z.record(column, columnTypeSchema);

/** How the bytes of the files are laid out. Column types that are not said are inferred from the first rows. */
export const formatSpecSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("parquet") }),
  /** RFC 4180. Without a header, columns are named by `names`, or "0", "1", … */
  z.strictObject({
    kind: z.literal("csv"),
    delimiter: z.string().length(1),
    header: z.boolean(),
    names: z.array(column).optional(),
    types: columnTypes,
    /** Cells that count as missing, beside the empty one. */
    missing: z.array(z.string()),
  }),
  /** One JSON object a line. */
  z.strictObject({ kind: z.literal("jsonl"), types: columnTypes }),
  /** `label index:value …`; columns "label", "indices" (int64[]) and "values" (number[]). */
  z.strictObject({ kind: z.literal("libsvm") }),
  /** NumPy arrays, one column each: column name → file; the first axis is the row. */
  z.strictObject({ kind: z.literal("npy"), columns: z.array(column).min(1) }),
  /** Volary's own container of columns, for arrays handed in by code: see `table-file.ts`. */
  z.strictObject({ kind: z.literal("table") }),
]);
/** How the bytes of the files are laid out. */
export type FormatSpec = Extract<z.infer<typeof formatSpecSchema>, object>;

/**
 * How a field is made. Fields that give *keys* (64-bit ids for an embedding): `column`, `hash`, `cross`, `datePart`,
 * `bucket`, `quantiles`, `split`, `negatives`. Fields that give *numbers* (float32 for the dense tower): `column`,
 * `standardise`, `log`, `clip`, `datePart`, `bucket`, `quantiles`. `withDefault` gives what its part gives. Over a column
 * of lists a field gives a list, element by element; a `cross` takes parts of one value a row.
 */
export type FieldSpec =
  | { kind: "column"; column: string }
  /** Hashed with the field's own salt, or with `salt`, so that several fields may share a vocabulary. */
  | { kind: "hash"; of: FieldSpec; salt?: string | undefined }
  | { kind: "cross"; of: FieldSpec[] }
  | { kind: "datePart"; column: string; part: DatePart }
  /** floor(x / width) */
  | { kind: "bucket"; of: FieldSpec; width: number }
  /** The number of edges ≤ x; `edges` are quantiles of the training rows, fitted when the job is submitted. */
  | { kind: "quantiles"; of: FieldSpec; buckets: number; edges?: number[] | undefined }
  /** (x − mean) / stddev; fitted to the training rows when the job is submitted, where they are not given. */
  | { kind: "standardise"; of: FieldSpec; mean?: number | undefined; stddev?: number | undefined }
  /** ln(x + plus) */
  | { kind: "log"; of: FieldSpec; plus: number }
  | { kind: "clip"; of: FieldSpec; min: number; max: number }
  /** `value` where the part is missing: a NaN, an empty cell, a null or an empty list. */
  | { kind: "withDefault"; of: FieldSpec; value: string | number }
  /** A string cut at each `separator` to a list of keys; empty parts are left out. */
  | { kind: "split"; column: string; separator: string }
  /** `count` keys drawn uniformly from 0 … vocabulary − 1, a pure function of (seed, epoch, sample). */
  | { kind: "negatives"; count: number; vocabulary: number };
/** A part of an instant, UTC; "slot10" is the slot of 10 minutes in the day. */
export type DatePart = "hour" | "slot10" | "minuteOfDay" | "dayOfWeek" | "dayOfMonth" | "month";
export const datePartSchema = z.enum(["hour", "slot10", "minuteOfDay", "dayOfWeek", "dayOfMonth", "month"]);

export const fieldSpecSchema: z.ZodType<FieldSpec> = z.lazy(() =>
  z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("column"), column }),
    z.strictObject({ kind: z.literal("hash"), of: fieldSpecSchema, salt: z.string().max(200).optional() }),
    z.strictObject({ kind: z.literal("cross"), of: z.array(fieldSpecSchema).min(2).max(16) }),
    z.strictObject({ kind: z.literal("datePart"), column, part: datePartSchema }),
    z.strictObject({ kind: z.literal("bucket"), of: fieldSpecSchema, width: z.number().positive() }),
    z.strictObject({
      kind: z.literal("quantiles"),
      of: fieldSpecSchema,
      buckets: z.number().int().min(2).max(LIMITS.quantilesMax),
      edges: z.array(finite).max(LIMITS.quantilesMax).optional(),
    }),
    z.strictObject({
      kind: z.literal("standardise"),
      of: fieldSpecSchema,
      mean: finite.optional(),
      stddev: z.number().positive().optional(),
    }),
    z.strictObject({ kind: z.literal("log"), of: fieldSpecSchema, plus: finite }),
    z.strictObject({ kind: z.literal("clip"), of: fieldSpecSchema, min: finite, max: finite }),
    z.strictObject({ kind: z.literal("withDefault"), of: fieldSpecSchema, value: z.union([z.string(), finite]) }),
    z.strictObject({ kind: z.literal("split"), column, separator: z.string().min(1).max(10) }),
    z.strictObject({
      kind: z.literal("negatives"),
      count: z.number().int().min(1).max(LIMITS.sequenceLengthMax),
      vocabulary: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
    }),
  ]),
);

export const labelSpecSchema = z.discriminatedUnion("kind", [
  /** 1 where the column is at least `threshold`, else 0. */
  z.strictObject({ kind: z.literal("atLeast"), column, threshold: finite }),
  /** The column itself: one number, or as many as the column's lists have. */
  z.strictObject({ kind: z.literal("column"), column }),
  /** 1 where the column is `value`, else 0. */
  z.strictObject({ kind: z.literal("equals"), column, value: z.union([z.string(), finite]) }),
  /** The position of the column's value in `values`: a class number. */
  z.strictObject({ kind: z.literal("classes"), column, values: z.array(z.union([z.string(), finite])).min(2) }),
  /** Several columns of numbers side by side. */
  z.strictObject({ kind: z.literal("columns"), columns: z.array(column).min(1) }),
  /** The same numbers for every row, as for losses that compare a sample's own outputs. */
  z.strictObject({ kind: z.literal("constant"), values: z.array(finite).min(1).max(LIMITS.sequenceLengthMax) }),
]);
/** How a label is made, as `atLeast()` and its like make it. */
export type LabelSpec = Extract<z.infer<typeof labelSpecSchema>, object>;

export const splitSpecSchema = z.discriminatedUnion("kind", [
  /** Held out: rows whose date column is at or after `instant` (ISO 8601, UTC when it names no zone). */
  z.strictObject({ kind: z.literal("since"), column, instant: z.string() }),
  /** Held out: this share of the rows, drawn by row number and seed. */
  z.strictObject({ kind: z.literal("fraction"), fraction: z.number().gt(0).lt(1), seed: z.number().int() }),
  /** Held out: rows whose column is one of `values`. */
  z.strictObject({ kind: z.literal("where"), column, values: z.array(z.union([z.string(), finite])).min(1) }),
  /** Held out: the rows of these files, of the same format; all rows of `files` are for training. */
  z.strictObject({ kind: z.literal("files"), files: z.array(fileSpecSchema).min(1) }),
]);
/** Which rows are held out, as `since()` and its like make it. */
export type SplitSpec = Extract<z.infer<typeof splitSpecSchema>, object>;

export const dataSpecSchema = z.strictObject({
  format: formatSpecSchema,
  /** Read one after the other, folders and globs in the order of their names. */
  files: z.array(fileSpecSchema).min(1).max(LIMITS.dataFilesMax),
  fields: z.record(z.string(), fieldSpecSchema),
  /** Without it the label of every row is 0. */
  label: labelSpecSchema.optional(),
  /** Weight of a row in loss and metrics; 1 without it. */
  weight: fieldSpecSchema.optional(),
  /** Rows of one group (a user, a query) are ranked against each other by hr@k, ndcg@k and recall@k. */
  group: fieldSpecSchema.optional(),
  test: splitSpecSchema.optional(),
  /** Rows that cannot be read, or lack a value, are left out up to this many; one more ends the job. */
  badRowsMax: z.number().int().nonnegative(),
});
/** A data set as plain data, as `csv()` and its like make it: it travels in a job. */
export interface DataSpec extends z.infer<typeof dataSpecSchema> {}
