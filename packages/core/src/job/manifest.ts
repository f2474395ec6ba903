/**
 * The job manifest: everything a worker, a PS and the coordinator need to run a job, as data. Functions never
 * travel. Made by `defineJob` / `cluster.fit`, checked here once at every edge.
 */
import { z } from "zod";
import { consistencySpecSchema } from "../consistency/index.ts";
import { dataSpecSchema } from "../data/spec/data-spec.ts";
import type { FieldDemand } from "../data/spec/dataset.ts";
import { LIMITS } from "../limits.ts";
import { optimizerSpecSchema } from "../optimizer/optimizer-spec.ts";
import { tableSpecSchema } from "../table/table-spec.ts";

const u32 = z.number().int().min(0).max(0xffff_ffff);

/**
 * How a field's keys become rows of one sample: `one` key, [dim]; a list, combined to [dim]; or a list cut or padded to
 * `length`, [length, dim], the row of a padded place being 0.
 */
export const usageSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("one") }),
  z.strictObject({
    kind: z.literal("pooled"),
    /** Σ wᵢ rowᵢ; over Σ wᵢ for the mean, over √Σ wᵢ² for sqrtn (as tf.nn.embedding_lookup_sparse). No keys give 0. */
    combiner: z.enum(["sum", "mean", "sqrtn"]),
    /** A field of as many numbers as there are keys; every weight is 1 without it. */
    weights: z.string().optional(),
    /** Only the first so many keys of a list count; all of them without it. */
    length: z.number().int().min(1).max(LIMITS.sequenceLengthMax).optional(),
  }),
  z.strictObject({
    kind: z.literal("sequence"),
    length: z.number().int().min(1).max(LIMITS.sequenceLengthMax),
    /** Which places the layers behind leave out: none, padded ones, or those whose key is 0 (as tfjs's maskZero). */
    mask: z.enum(["none", "padding", "zero-key"]),
  }),
]);
export type Usage = z.infer<typeof usageSchema>;

/** One use of a table: the rows of `field`'s keys become the tower's input `input`, [B, dim] or [B, length, dim]. */
export const embeddingUseSchema = z.strictObject({
  input: z.string(),
  field: z.string(),
  table: z.string(),
  dim: z.number().int().min(1).max(LIMITS.dimMax),
  usage: usageSchema,
  /** The dtype of an input that takes integers: a column of strings is refused then, where others hash it. */
  integers: z.enum(["int32", "int64"]).optional(),
});
export interface EmbeddingUse extends z.infer<typeof embeddingUseSchema> {}

/** Floats of a sample that a use gives. */
export function floatsOfUse({ dim, usage }: Pick<EmbeddingUse, "dim" | "usage">): number {
  return usage.kind === "sequence" ? usage.length * dim : dim;
}

/** Places of a sample's mask that a use has. */
export function maskedPlacesOfUse({ usage }: Pick<EmbeddingUse, "usage">): number {
  return usage.kind === "sequence" && usage.mask !== "none" ? usage.length : 0;
}

/** A field of numbers as an input of the tower, of `shape` for each sample. */
export const numberUseSchema = z.strictObject({
  input: z.string(),
  field: z.string(),
  shape: z.array(z.number().int().min(1)),
});
export interface NumberUse extends z.infer<typeof numberUseSchema> {}

/** Floats of a sample that a field of numbers gives. */
export function floatsOfNumbers({ shape }: Pick<NumberUse, "shape">): number {
  return shape.reduce((floats, size) => floats * size, 1);
}

export const variableSpecSchema = z.strictObject({
  name: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  trainable: z.boolean(),
});
export interface VariableSpec extends z.infer<typeof variableSpecSchema> {}

/** Numbers the tower gives for a sample: [O] floats, flat. */
const outputs = z.number().int().min(1).max(LIMITS.outputsMax);

export const modelSpecSchema = z.strictObject({
  /**
   * tfjs topology of the dense tower: the author's model with every embedding replaced by an input. Undefined where a
   * training function takes the rows as they are.
   */
  topology: z.record(z.string(), z.unknown()).optional(),
  /** The tower's inputs in order: pulled rows first, then number fields. */
  embeddings: z.array(embeddingUseSchema),
  numbers: z.array(numberUseSchema),
  /** Every weight of the tower, in `tower.weights` order. */
  variables: z.array(variableSpecSchema),
  outputs,
});
export interface ModelSpec extends z.infer<typeof modelSpecSchema> {}

/** A function of a plugin file, which every node that runs it has loaded from its operator's own copy. */
export const functionRefSchema = z.strictObject({
  function: z.string().min(1).max(200),
  /** SHA-256 of the plugin file, hex. */
  sha256: z.string().length(64),
});
export interface FunctionRef extends z.infer<typeof functionRefSchema> {}

export const LOSS_NAMES = [
  "binaryCrossentropy",
  "categoricalCrossentropy",
  "sparseCategoricalCrossentropy",
  "meanSquaredError",
  "meanAbsoluteError",
  "huber",
  "logcosh",
  "poisson",
  "hinge",
  "bpr",
  "sampledSoftmax",
] as const;
export const lossNameSchema = z.enum(LOSS_NAMES);
/**
 * Losses by name, as in tfjs; "bpr" and "sampledSoftmax" compare a sample's own outputs.
 *
 * @useDeclaredType
 */
export type LossName = z.infer<typeof lossNameSchema>;
export const lossSchema = z.union([lossNameSchema, functionRefSchema]);
export type LossSpec = z.infer<typeof lossSchema>;

export const METRIC_NAMES = ["auc", "exactAuc", "logloss", "accuracy", "mse", "rmse", "mae", "calibration"] as const;
const RANKING_METRIC = /^(hr|ndcg|recall)@([1-9]\d{0,3})$/;
/** Metrics over the groups of the held-out rows, as "hr@10". */
export type RankingMetricName = `${"hr" | "ndcg" | "recall"}@${number}`;
/**
 * Metrics of the held-out rows: "auc", "exactAuc", "logloss", "accuracy", "mse", "rmse", "mae" and "calibration"; and over
 * groups "hr@10", "ndcg@10" and "recall@10", of any number.
 */
export type MetricName = (typeof METRIC_NAMES)[number] | RankingMetricName;
export const metricSchema = z.custom<MetricName>(
  (name) =>
    typeof name === "string" && ((METRIC_NAMES as readonly string[]).includes(name) || RANKING_METRIC.test(name)),
  { error: 'must be a metric, as "auc" or "ndcg@10"' },
);

/** The parts of a ranking metric's name; undefined for any other name. */
export function rankingMetricOf(name: string): { kind: "hr" | "ndcg" | "recall"; k: number } | undefined {
  const parts = RANKING_METRIC.exec(name);
  return parts ? { kind: parts[1] as "hr" | "ndcg" | "recall", k: Number(parts[2]) } : undefined;
}

const positive = z.number().finite().positive();

/**
 * Bounds on gradients, as Keras has them. `value` cuts each component, `norm` scales each dense variable's and each
 * row's gradient to at most that length, `globalNorm` scales all dense gradients together.
 */
export const clipSchema = z
  .strictObject({
    value: positive.optional(),
    norm: positive.optional(),
    globalNorm: positive.optional(),
  })
  .refine((clip) => Object.values(clip).filter((bound) => bound !== undefined).length <= 1, {
    error: "give one of value, norm and globalNorm: two bounds in one clip depend on their order",
  });
export type ClipSpec = z.infer<typeof clipSchema>;

/** Stops when `monitor` has not become better by more than `minDelta` for `patience` evaluations. */
export const earlyStoppingSchema = z.strictObject({
  /** "loss" is the training loss of an epoch; the others are metrics of the held-out rows, as "auc" or "val_loss". */
  monitor: z.string().min(1).max(100),
  patience: z.number().int().nonnegative(),
  minDelta: z.number().finite().nonnegative(),
  mode: z.enum(["min", "max"]),
});
export interface EarlyStoppingSpec extends z.infer<typeof earlyStoppingSchema> {}

const valueDtype = z.enum(["float32", "bfloat16", "int8"]);

/** Only the greatest values travel: this share of them, above 0 and below 1. */
const topKSchema = z.strictObject({ topK: z.number().gt(0).lt(1) });

/**
 * In which form values travel: the rows that workers pull; the row gradients that they push, of which `topK` takes
 * the longest rows; and what they all-reduce of dense variables, of which it takes the greatest values.
 */
export const wireSchema = z.strictObject({
  rows: valueDtype.optional(),
  gradients: z.union([valueDtype, topKSchema]).optional(),
  dense: z.union([valueDtype, topKSchema]).optional(),
  /** Is what a form loses kept, and added to what travels next? Always so with `topK`. */
  errorFeedback: z.boolean().optional(),
});
/** A form of values on their way. */
export type WireForm = NonNullable<z.infer<typeof wireSchema>["gradients"]>;

/** Pulled rows that workers keep and use again, for at most so many of their steps. */
export const cacheSchema = z.strictObject({
  stalenessSteps: z.number().int().min(1).max(LIMITS.stalenessStepsMax),
  rowsMax: z.number().int().min(1).optional(),
});
export interface CacheSpec extends z.infer<typeof cacheSchema> {}
export interface WireSpec extends z.infer<typeof wireSchema> {}

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
    metrics: z.array(metricSchema).max(LIMITS.metricsPerJobMax),
    clip: clipSchema.optional(),
  }),
  fit: z.strictObject({
    epochs: z.number().int().min(1),
    /** Samples of one step over all workers. */
    batchSize: z.number().int().min(1),
    consistency: consistencySpecSchema,
    /** Ends training early, after this many steps. */
    stepsMax: z.number().int().min(1).optional(),
    /** Are the rows of an epoch mixed? */
    shuffle: z.boolean(),
    /** Evaluates the held-out rows after each epoch, or every so many epochs or steps, beside the end of training. */
    validate: z.union([
      z.literal("end"),
      z.literal("epoch"),
      z.strictObject({ everyEpochs: z.number().int().min(1) }),
      z.strictObject({ everySteps: z.number().int().min(1) }),
    ]),
    earlyStopping: earlyStoppingSchema.optional(),
    /** In which forms values travel; float32 without it. */
    wire: wireSchema.optional(),
    /** Is the state of the dense optimizer split over the workers? It is on each of them without it, or on the PS. */
    dense: z.literal("sharded").optional(),
    /** Do workers keep rows? Not without it. */
    cache: cacheSchema.optional(),
    /** Steps whose samples and keys a worker reads ahead; 2 without it. */
    prefetch: z.number().int().min(0).max(LIMITS.prefetchStepsMax).optional(),
    /** Weight of the samples of a class, by class number; 1 for a class that is not named. */
    classWeight: z.record(z.string().regex(/^\d+$/), z.number().finite().nonnegative()).optional(),
  }),
  /** The job starts once this many workers are ready. */
  workersMin: z.number().int().min(1).max(LIMITS.workersPerJobMax),
});
export interface JobManifest extends z.infer<typeof jobManifestSchema> {}

/** What a job's model wants of each field of its data, each demand once. */
export function fieldDemands({ model }: { model: Pick<ModelSpec, "embeddings" | "numbers"> }): FieldDemand[] {
  const demands = [
    ...model.embeddings.flatMap(({ field, usage }): FieldDemand[] => [
      { name: field, as: usage.kind === "one" ? "keys" : "keyLists", ...integersOf(model, field) },
      ...(usage.kind === "pooled" && usage.weights !== undefined
        ? [{ name: usage.weights, as: "numberLists" as const }]
        : []),
    ]),
    ...model.numbers.map((use): FieldDemand => ({ name: use.field, as: "numbers", width: floatsOfNumbers(use) })),
  ];
  return [...new Map(demands.map((demand) => [JSON.stringify(demand), demand])).values()];
}

/** All uses of a field read the same keys: one that takes integers speaks for the others. */
function integersOf({ embeddings }: Pick<ModelSpec, "embeddings">, field: string): Pick<EmbeddingUse, "integers"> {
  const integers = embeddings.find((use) => use.field === field && use.integers !== undefined)?.integers;
  return integers === undefined ? {} : { integers };
}
