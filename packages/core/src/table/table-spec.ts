/** An embedding table as data: what a PS needs to create, initialise and update its rows. */
import { z } from "zod";
import { LIMITS } from "../limits.ts";
import { optimizerSpecSchema } from "../optimizer/optimizer-spec.ts";

export const initializerSpecSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("zeros") }),
  z.strictObject({ kind: z.literal("constant"), value: z.number().finite() }),
  z.strictObject({ kind: z.literal("uniform"), min: z.number().finite(), max: z.number().finite() }),
  z.strictObject({ kind: z.literal("normal"), mean: z.number().finite(), stddev: z.number().nonnegative() }),
  z.strictObject({ kind: z.literal("truncated-normal"), mean: z.number().finite(), stddev: z.number().nonnegative() }),
]);
// `Extract` leaves all of it, and lets editors and messages call it by its name.
/** First values of a table's rows, as `uniform()` and its like make it. Plain data: it travels in a job. */
export type InitializerSpec = Extract<z.infer<typeof initializerSpecSchema>, object>;

const positive = z.number().finite().positive();

export const tableSpecSchema = z.strictObject({
  /** Number of the table on the wire, unique in its job; 0 is the reserved table of dense variables. */
  id: z.number().int().min(0).max(0xffff_ffff),
  name: z.string().min(1).max(200),
  dim: z.number().int().min(1).max(LIMITS.dimMax),
  initializer: initializerSpecSchema,
  optimizer: optimizerSpecSchema,
  /** Each update of a row adds l2 · weights to its gradient, before it is clipped. */
  l2: positive.optional(),
  /** After an update, a row longer than this is scaled to this length. */
  maxNorm: positive.optional(),
  /** Bounds on the gradient of one row, summed over the batch: of each component, and of its length. */
  clip: z.strictObject({ value: positive.optional(), norm: positive.optional() }).optional(),
});
export interface TableSpec extends z.infer<typeof tableSpecSchema> {}

/** The reserved table that every job has beside its own; it holds dense variables: key = (variable << 32) | chunk, a row = one chunk of floats. */
export const DENSE_TABLE: TableSpec = {
  id: 0,
  name: "~dense",
  dim: LIMITS.denseChunkFloats,
  initializer: { kind: "zeros" },
  optimizer: { kind: "none" },
};
