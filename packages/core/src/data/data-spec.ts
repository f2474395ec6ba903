/**
 * A data set as data: where its rows lie, which fields are made of its columns, what the label is and which
 * rows are held out. Nothing here is code, so it travels in a job manifest and means the same everywhere.
 */
import { z } from "zod";

const column = z.string().min(1).max(200);

/** Where the bytes lie. `npm`: a file inside an installed npm package; `file`: a path on the reader's machine. */
export const fileSpecSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("npm"), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal("file"), path: z.string().min(1) }),
]);
export type FileSpec = z.infer<typeof fileSpecSchema>;

/**
 * How a field is made. Fields that give *keys* (64-bit ids for an embedding): `column`, `hash`, `cross`, `datePart`,
 * `bucket`. Fields that give *numbers* (float32 for the dense tower): `standardise`.
 */
export type FieldSpec =
  | { kind: "column"; column: string }
  | { kind: "hash"; of: FieldSpec }
  | { kind: "cross"; of: FieldSpec[] }
  | { kind: "datePart"; column: string; part: DatePart }
  | { kind: "bucket"; column: string; width: number }
  | { kind: "standardise"; column: string; mean: number; stddev: number };
export type DatePart = "hour" | "slot10" | "minuteOfDay" | "dayOfWeek" | "dayOfMonth" | "month";
export const datePartSchema = z.enum(["hour", "slot10", "minuteOfDay", "dayOfWeek", "dayOfMonth", "month"]);

export const fieldSpecSchema: z.ZodType<FieldSpec> = z.lazy(() =>
  z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("column"), column }),
    z.strictObject({ kind: z.literal("hash"), of: fieldSpecSchema }),
    z.strictObject({ kind: z.literal("cross"), of: z.array(fieldSpecSchema).min(2).max(16) }),
    z.strictObject({ kind: z.literal("datePart"), column, part: datePartSchema }),
    z.strictObject({ kind: z.literal("bucket"), column, width: z.number().positive() }),
    z.strictObject({ kind: z.literal("standardise"), column, mean: z.number(), stddev: z.number().positive() }),
  ]),
);

export const labelSpecSchema = z.discriminatedUnion("kind", [
  /** 1 where the column is at least `threshold`, else 0. */
  z.strictObject({ kind: z.literal("atLeast"), column, threshold: z.number() }),
  /** The column itself. */
  z.strictObject({ kind: z.literal("column"), column }),
]);
export type LabelSpec = z.infer<typeof labelSpecSchema>;

export const splitSpecSchema = z.discriminatedUnion("kind", [
  /** Held out: rows whose date column is at or after `instant` (ISO 8601, UTC when it names no zone). */
  z.strictObject({ kind: z.literal("since"), column, instant: z.string() }),
]);
export type SplitSpec = z.infer<typeof splitSpecSchema>;

export const dataSpecSchema = z.strictObject({
  format: z.enum(["parquet"]),
  file: fileSpecSchema,
  fields: z.record(z.string(), fieldSpecSchema),
  label: labelSpecSchema,
  test: splitSpecSchema.optional(),
});
export type DataSpec = z.infer<typeof dataSpecSchema>;
