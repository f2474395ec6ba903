/**
 * The job manifest: everything a worker, a PS and the coordinator need to run a job, as data. Functions never
 * travel. Made by `defineJob` / `cluster.fit`, checked here once at every edge.
 */
import { z } from "zod";
import { consistencySpecSchema } from "../consistency/index.ts";
import { dataSpecSchema } from "../data/data-spec.ts";
import type { FieldDemand } from "../data/dataset.ts";
import { LIMITS } from "../limits.ts";
import { optimizerSpecSchema } from "../optimizer/optimizer-spec.ts";
import { tableSpecSchema } from "../partition/table-spec.ts";

const u32 = z.number().int().min(0).max(0xffff_ffff);

/** One use of a table: the rows of `field`'s keys become the tower's input `input`, [B, dim]. */
export const embeddingUseSchema = z.strictObject({
  input: z.string(),
  field: z.string(),
  table: z.string(),
  dim: z.number().int().min(1).max(LIMITS.dimMax),
});
export type EmbeddingUse = z.infer<typeof embeddingUseSchema>;

export const variableSpecSchema = z.strictObject({
  name: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  trainable: z.boolean(),
});
export type VariableSpec = z.infer<typeof variableSpecSchema>;

export const modelSpecSchema = z.strictObject({
  /** tfjs topology of the dense tower: the author's model with every embedding replaced by an input. */
  topology: z.record(z.string(), z.unknown()),
  /** The tower's inputs in order: pulled rows first, then number fields. */
  embeddings: z.array(embeddingUseSchema),
  numbers: z.array(z.strictObject({ input: z.string(), field: z.string() })),
  /** Every weight of the tower, in `tower.weights` order. */
  variables: z.array(variableSpecSchema),
});
export type ModelSpec = z.infer<typeof modelSpecSchema>;

export const lossSchema = z.enum(["binaryCrossentropy", "meanSquaredError"]);
export const metricSchema = z.enum(["auc", "logloss", "mse"]);
export type LossName = z.infer<typeof lossSchema>;
export type MetricName = z.infer<typeof metricSchema>;

export const jobManifestSchema = z.strictObject({
  name: z.string().min(1).max(200),
  /** Seed of initial rows, initial dense weights and epoch orders. */
  seed: u32,
  model: modelSpecSchema,
  tables: z.array(tableSpecSchema).max(LIMITS.tablesPerJobMax),
  data: dataSpecSchema,
  compile: z.strictObject({
    optimizer: optimizerSpecSchema,
    loss: lossSchema,
    metrics: z.array(metricSchema),
  }),
  fit: z.strictObject({
    epochs: z.number().int().min(1),
    /** Samples of one step over all workers. */
    batchSize: z.number().int().min(1),
    consistency: consistencySpecSchema,
    /** Ends training early, after this many steps. */
    stepsMax: z.number().int().min(1).optional(),
  }),
  /** The job starts once this many workers are ready. */
  workersMin: z.number().int().min(1).max(LIMITS.workersPerJobMax),
});
export type JobManifest = z.infer<typeof jobManifestSchema>;

/** What a job's model wants of each field of its data. */
export function fieldDemands({ model }: Pick<JobManifest, "model">): FieldDemand[] {
  const keys = new Set(model.embeddings.map((use) => use.field));
  return [
    ...Array.from(keys, (name) => ({ name, as: "keys" as const })),
    ...model.numbers.map(({ field }) => ({ name: field, as: "numbers" as const })),
  ];
}
