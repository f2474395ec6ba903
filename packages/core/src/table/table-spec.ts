/** An embedding table as data: what a PS needs to create, initialise and update its rows. */
import { z } from "zod";
import { LIMITS } from "../limits.ts";
import { optimizerSpecSchema } from "../optimizer/optimizer-spec.ts";
import { bloomShape } from "./counting-bloom.ts";

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
const counted = z.number().int().min(1);

/** What counts the pushes of keys that have no row, over all partitions of the table. */
export const counterSpecSchema = z.discriminatedUnion("kind", [
  /** Each key by itself, at most `keysMax` of them. */
  z.strictObject({ kind: z.literal("exact"), keysMax: counted.max(LIMITS.admissionCountersMax) }),
  /** A counting Bloom filter for `keys` keys that wait at a time. */
  z
    .strictObject({ kind: z.literal("bloom"), keys: counted, falsePositives: z.number().min(1e-9).max(0.5) })
    .refine((spec) => bloomShape(spec).counters <= LIMITS.admissionCountersMax, {
      error: `needs more than ${LIMITS.admissionCountersMax} counters: lower keys, or allow more falsePositives`,
    }),
]);
/** A counter of keys, as `exactCounter()` and `countingBloom()` make it. Plain data: it travels in a job. */
export type CounterSpec = Extract<z.infer<typeof counterSpecSchema>, object>;

export const admissionSpecSchema = z.strictObject({
  kind: z.literal("count"),
  /** The push of a key that makes its row; those before are counted and dropped. */
  updates: z.number().int().min(2).max(LIMITS.admissionUpdatesMax),
  counter: counterSpecSchema,
});
/** When a key gets a row, as `afterUpdates()` makes it. Plain data: it travels in a job. */
export interface AdmissionSpec extends z.infer<typeof admissionSpecSchema> {}

export const evictionSpecSchema = z
  .strictObject({
    /** Rows that were not updated for so many steps go. */
    expireSteps: counted.max(0xffff_ffff).optional(),
    /** Rows of the table, over all partitions; each may keep an equal share. */
    rowsMax: counted.optional(),
    /** Which rows go where there are too many. */
    order: z.enum(["least-recent", "least-frequent"]),
  })
  .refine(({ expireSteps, rowsMax }) => expireSteps !== undefined || rowsMax !== undefined, {
    error: "needs expireSteps or rowsMax: without them no row ever goes",
  });
/** Which rows go, as `leastRecent()` and `leastFrequent()` make it. Plain data: it travels in a job. */
export interface EvictionSpec extends z.infer<typeof evictionSpecSchema> {}

export const tableSpecSchema = z.strictObject({
  /** Number of the table on the wire, unique in its job; 0 is the reserved table of dense variables. */
  id: z.number().int().min(0).max(0xffff_ffff),
  name: z.string().min(1).max(200),
  dim: z.number().int().min(1).max(LIMITS.dimMax),
  /** What weights are held as on the PS; float32 without it. Optimizer state is float32 always. */
  dtype: z.enum(["float32", "bfloat16", "int8"]).optional(),
  initializer: initializerSpecSchema,
  optimizer: optimizerSpecSchema,
  /** Each update of a row adds l2 · weights to its gradient, before it is clipped. */
  l2: positive.optional(),
  /** After an update, a row longer than this is scaled to this length. */
  maxNorm: positive.optional(),
  /** Bounds on the gradient of one row, summed over the batch: of each component, and of its length. */
  clip: z.strictObject({ value: positive.optional(), norm: positive.optional() }).optional(),
  /** Which keys get a row; every one that is pushed without it. */
  admission: admissionSpecSchema.optional(),
  /** Which rows go; none without it. */
  eviction: evictionSpecSchema.optional(),
});
export interface TableSpec extends z.infer<typeof tableSpecSchema> {}

/** The reserved table that every job has beside its own; it holds dense variables, as one flat vector: key k is its k-th chunk of floats. */
export const DENSE_TABLE: TableSpec = {
  id: 0,
  name: "~dense",
  dim: LIMITS.denseChunkFloats,
  initializer: { kind: "zeros" },
  optimizer: { kind: "none" },
};
