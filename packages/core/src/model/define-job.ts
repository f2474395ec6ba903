/**
 * A job as an author writes it: checked at once, so that a typing error is told in a second, with its place and the
 * nearest right word, not after a cluster has started. `job-manifest.ts` makes data of it.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { z } from "zod";
import { bsp, consistencyOf, consistencySpecSchema, withDense, type ConsistencySpec } from "../consistency/index.ts";
import { dataSpecSchema, type DataSpec } from "../data/spec/data-spec.ts";
import {
  clipSchema,
  earlyStoppingSchema,
  jobManifestSchema,
  lossNameSchema,
  METRIC_NAMES,
  metricSchema,
  wireSchema,
  type EarlyStoppingSpec,
  type JobManifest,
  type LossName,
  type MetricName,
} from "../job/manifest.ts";
import { monitoredOf } from "../job/monitor.ts";
import { LIMITS } from "../limits.ts";
import { isPlainUpdate, optimizerSpecFrom, type OptimizerName, type OptimizerSpec } from "../optimizer/index.ts";
import { checkChoice, checkInteger, refuseUnknownKeys } from "./layers/author-error.ts";
import type { InputOf } from "./layers/input.ts";
import { isTrainingFunction, type TrainingFunction } from "./tower/training-function.ts";

/** A job as its author writes it: data, model, how to train it. `D` is the type of its data, which knows the fields. */
export interface JobArgs<D extends DataSpec = DataSpec> {
  /** For people, in the cluster's status and in reports. */
  name: string;
  /** Of initial rows, initial dense weights and epoch orders; 0 by default. */
  seed?: number;
  /** As `parquet(…)` and `csv(…)` make it. */
  data: D;
  /**
   * Makes the model; called where the job is submitted, never on a worker. A training function may need none. The
   * `input` it is handed knows the fields of this data, so that the compiler finds a misspelt one.
   */
  model?: ModelOf<D>;
  /** As tfjs's `model.compile`. */
  compile: CompileArgs;
  /** As tfjs's `model.fit`. */
  fit: FitArgs;
}

/** With what a model is trained and measured: as tfjs's `model.compile`, and what tables add to it. */
export interface CompileArgs {
  /** Of the dense weights, on the workers. */
  optimizer: Exclude<OptimizerName, "rowwise-adagrad"> | OptimizerSpec;
  /** Of the embedding tables, on the parameter servers; `optimizer` by default. */
  sparseOptimizer?: OptimizerName | OptimizerSpec;
  /** By name, or a training function, whose file each worker loads with --plugin. */
  loss: LossName | TrainingFunction;
  /** Of the held-out rows; none by default. */
  metrics?: readonly MetricName[];
  /** Bounds on gradients; none by default. */
  clip?: OneBound;
}

/** How long and in which steps a model is trained: as tfjs's `model.fit`, and what a cluster adds to it. */
export interface FitArgs {
  /** 1 by default. */
  epochs?: number;
  /** Samples of one step over all workers. */
  batchSize: number;
  /** `bsp()` by default. */
  consistency?: ConsistencySpec;
  /** Ends training early, after this many steps. */
  stepsMax?: number | undefined;
  /** Mixes the rows of each epoch; true by default. */
  shuffle?: boolean;
  /**
   * When the held-out rows are evaluated, beside the end of training: "end" by default, "epoch" where early
   * stopping watches them.
   */
  validate?: FitSpec["validate"];
  /** Ends training when what it watches no longer becomes better. */
  earlyStopping?: EarlyStoppingArgs | undefined;
  /** Weight of the samples of a class, by class number; 1 for a class that is not named. */
  classWeight?: Readonly<Record<number, number>> | undefined;
  /**
   * In which form rows and their gradients travel between workers and parameter servers, which store float32 all the
   * same: "float32" by default, as they are; "bfloat16" in half the bytes, with 8 bits of each value; "int8" in a
   * quarter, with 256 even steps between the least and the greatest value of each row.
   */
  wire?: WireArgs | undefined;
  /** Steps whose samples and keys a worker reads ahead, which costs memory for as many batches; 2 by default. */
  prefetch?: number | undefined;
  /**
   * Where dense variables come together. `bsp()` all-reduces their gradients; with "ps" parameter servers hold and
   * update them, as in `ssp()` and `asp()`; with "sharded" each worker keeps the optimizer's state of its share alone
   * (ZeRO-1: Rajbhandari et al., SC 2020).
   */
  dense?: "all-reduce" | "ps" | "sharded" | undefined;
  /** Lets workers use rows again that they pulled before; none without it. Not with `bsp()`. */
  cache?: CacheArgs | undefined;
}

/** What workers keep of the rows that they pulled. */
export interface CacheArgs {
  /** For how many of its steps a worker may use a row again; in `ssp()` at most the steps that it promises. */
  stalenessSteps: number;
  /** Rows kept at most; 262,144 by default. */
  rowsMax?: number | undefined;
}

const DENSE_PLACES = ["all-reduce", "ps", "sharded"] as const;

/** Forms of values on their way. */
export interface WireArgs {
  /** Of the rows that workers pull. */
  rows?: "float32" | "bfloat16" | "int8" | undefined;
  /**
   * Of the gradients that workers push, each row's summed over the worker's share of the batch; with `{ topK: 0.1 }`
   * the longest tenth of the rows goes, and the others are kept until they are longer.
   */
  gradients?: "float32" | "bfloat16" | "int8" | { topK: number } | undefined;
  /** Of dense gradients that workers all-reduce; with `{ topK: 0.01 }` only the greatest hundredth goes. */
  dense?: "float32" | "bfloat16" | "int8" | { topK: number } | undefined;
  /** Keeps what a form loses of gradients, and adds it to the next ones; false by default, and always so with `topK`. */
  errorFeedback?: boolean | undefined;
}

/** Makes the model of a job from the fields of the data `D`. */
export type ModelOf<D extends DataSpec = DataSpec> = (from: {
  readonly input: InputOf<D>;
}) => LayersModel | Promise<LayersModel>;

/**
 * One bound on gradients: of each component, of the length of each dense variable's and each row's gradient, or of all
 * dense gradients together.
 *
 * @see Keras's clipvalue, clipnorm and global_clipnorm
 */
export type OneBound =
  | { value: number; norm?: never; globalNorm?: never }
  | { value?: never; norm: number; globalNorm?: never }
  | { value?: never; norm?: never; globalNorm: number };

/** "loss" is the training loss of an epoch; the others are of the held-out rows, as "auc", "val_auc" and "val_loss". */
export type MonitorName = "loss" | "val_loss" | MetricName | `val_${MetricName}`;

/** As tfjs's `callbacks.earlyStopping`. */
export interface EarlyStoppingArgs {
  /** "val_loss" by default; "loss" is the training loss of an epoch, the others are of the held-out rows. */
  monitor?: MonitorName;
  /** Evaluations without a gain after which training ends; 0 by default, which is the first. */
  patience?: number;
  /** What is no more than this is no gain; 0 by default. */
  minDelta?: number;
  /** Is less better, or more? By default less of a loss or an error, more of anything else. */
  mode?: EarlyStoppingSpec["mode"];
}

type FitSpec = Omit<JobManifest["fit"], "earlyStopping"> & {
  earlyStopping?: (EarlyStoppingSpec & { monitor: MonitorName }) | undefined;
};

/** A checked job, every default written out. Frozen. */
export interface JobDefinition {
  readonly name: string;
  /** Of initial rows, initial dense weights and epoch orders. */
  readonly seed: number;
  readonly data: DataSpec;
  /** Undefined where a training function needs none. */
  readonly model?: ModelOf;
  readonly compile: Readonly<{
    optimizer: OptimizerSpec;
    sparseOptimizer: OptimizerSpec;
    loss: LossName | TrainingFunction;
    metrics: readonly MetricName[];
    clip?: OneBound;
  }>;
  readonly fit: Readonly<FitSpec>;
}

const NAME_CHARS_MAX = 200;
const U32_MAX = 0xffff_ffff;

/**
 * Checks a job, at once, before any cluster is there. A checked job may be passed again.
 *
 * A job file exports one; `volary train FILE` and `cluster.train` run it.
 *
 * @returns the job with every default written out, frozen
 * @throws {TypeError} an unknown or missing key, or a value of the wrong kind
 * @throws {RangeError} a number out of its limits
 */
export function defineJob<const D extends DataSpec>(job: JobArgs<D>): JobDefinition {
  checkObject("defineJob()", job);
  refuseUnknownKeys("defineJob()", job, ["name", "seed", "data", "model", "compile", "fit"]);
  const { name, seed = 0, model } = job;
  if (typeof name !== "string" || name === "" || name.length > NAME_CHARS_MAX) {
    throw new TypeError(
      `defineJob(): name is ${JSON.stringify(name)}; give the job a name of 1 to ${NAME_CHARS_MAX} characters`,
    );
  }
  checkInteger(`job "${name}": seed`, seed, { min: 0, max: U32_MAX, usual: 1 });
  if (typeof model !== "function" && !(model === undefined && isTrainingFunction(job.compile?.loss))) {
    throw new TypeError(
      `job "${name}": model is no function; write model() { … return tf.model({ inputs, outputs }); }`,
    );
  }
  const compile = checkedCompile(`job "${name}": compile`, job.compile);
  return Object.freeze({
    name,
    seed,
    data: checkedData(name, job.data),
    ...(model === undefined ? {} : { model }),
    compile: Object.freeze(compile),
    fit: Object.freeze(checkedFit(`job "${name}": fit`, job.fit, compile)),
  });
}

function checkedData(job: string, data: DataSpec): DataSpec {
  const checked = dataSpecSchema.safeParse(data);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const place = ["data", ...issue!.path].join(".");
  throw new TypeError(`job "${job}": ${place}: ${issue!.message}; make data with parquet(…)`, { cause: checked.error });
}

function checkedCompile(place: string, compile: JobArgs["compile"]): JobDefinition["compile"] {
  checkObject(place, compile);
  refuseUnknownKeys(place, compile, ["optimizer", "sparseOptimizer", "loss", "metrics", "clip"]);
  const { loss, metrics = [], clip } = compile;
  if (!isTrainingFunction(loss)) checkChoice(`${place}.loss`, loss, lossNameSchema.options);
  if (!Array.isArray(metrics))
    throw new TypeError(`${place}.metrics is ${JSON.stringify(metrics)}; it must be a list, as ["auc"]`);
  for (const [i, metric] of metrics.entries()) {
    if (metricSchema.safeParse(metric).success) continue;
    checkChoice(`${place}.metrics[${i}]`, metric, [...METRIC_NAMES, "hr@10", "ndcg@10", "recall@10"]);
  }
  const optimizer = checkedOptimizer(`${place}.optimizer`, compile.optimizer);
  if (optimizer.kind === "rowwise-adagrad") {
    throw new TypeError(
      `${place}.optimizer is rowwise-adagrad, which keeps one accumulator per row and is for embedding tables: ` +
        `give it as sparseOptimizer, and, say, "adam" as optimizer of the tower`,
    );
  }
  if (optimizer.kind === "custom" || isPlainUpdate(optimizer.kind)) {
    throw new TypeError(
      `${place}.optimizer is ${optimizer.kind === "custom" ? `the server update "${optimizer.update}"` : `"${optimizer.kind}"`}, ` +
        `which parameter servers run, and dense weights are on the workers: give it as sparseOptimizer`,
    );
  }
  return {
    optimizer,
    sparseOptimizer: checkedOptimizer(`${place}.sparseOptimizer`, compile.sparseOptimizer ?? optimizer),
    loss,
    metrics: Object.freeze([...metrics]),
    ...(clip === undefined ? {} : { clip: checked(`${place}.clip`, clipSchema, clip) as OneBound }),
  };
}

function checkedOptimizer(place: string, optimizer: unknown): OptimizerSpec {
  if (typeof optimizer !== "string" && (typeof optimizer !== "object" || optimizer === null)) {
    throw new TypeError(
      `${place} is ${JSON.stringify(optimizer)}; use a name, as "adam", or adam({ learningRate: 0.001 })`,
    );
  }
  try {
    return optimizerSpecFrom(optimizer as string | OptimizerSpec);
  } catch (cause) {
    throw new RangeError(`${place}: ${(cause as Error).message}`, { cause });
  }
}

function checkedFit(place: string, fit: JobArgs["fit"], compile: JobDefinition["compile"]): JobDefinition["fit"] {
  checkObject(place, fit);
  refuseUnknownKeys(place, fit, [
    "epochs",
    "batchSize",
    "consistency",
    "stepsMax",
    "shuffle",
    "validate",
    "earlyStopping",
    "classWeight",
    "wire",
    "prefetch",
    "dense",
    "cache",
  ]);
  const { epochs = 1, batchSize, consistency = bsp(), stepsMax } = fit;
  checkInteger(`${place}.epochs`, epochs, { min: 1, max: U32_MAX, usual: 1 });
  checkInteger(`${place}.batchSize`, batchSize, { min: 1, max: U32_MAX, usual: 4096 });
  if (stepsMax !== undefined) checkInteger(`${place}.stepsMax`, stepsMax, { min: 1, max: U32_MAX, usual: 1000 });
  const mode = consistencySpecSchema.safeParse(consistency);
  if (!mode.success) {
    throw new TypeError(
      `${place}.consistency is ${JSON.stringify(consistency)}; make it with bsp(), ssp(), asp() or localSgd()`,
      {
        cause: mode.error,
      },
    );
  }
  const { shuffle = true, classWeight, wire, prefetch, cache } = fit;
  const { consistency: where, dense } = placedDense(place, mode.data, fit.dense);
  if (cache !== undefined) checkCache(`${place}.cache`, cache, where);
  if (wire !== undefined) checkWire(`${place}.wire`, wire);
  if (prefetch !== undefined)
    checkInteger(`${place}.prefetch`, prefetch, { min: 0, max: LIMITS.prefetchStepsMax, usual: 2 });
  if (classWeight !== undefined) checkClassWeight(place, classWeight, compile);
  const earlyStopping = fit.earlyStopping && checkedStopping(`${place}.earlyStopping`, fit.earlyStopping, compile);
  const watchesHeldOut = earlyStopping !== undefined && monitoredOf(earlyStopping.monitor).of === "held-out";
  const { validate = watchesHeldOut ? "epoch" : "end" } = fit;
  if (watchesHeldOut && validate === "end") {
    throw new TypeError(
      `${place}: earlyStopping watches ${earlyStopping.monitor} of the held-out rows, and validate is "end": ` +
        `write validate: "epoch" or { everySteps: 1000 }`,
    );
  }
  const optional = Object.fromEntries(
    Object.entries({ stepsMax, earlyStopping, classWeight, wire, prefetch, dense, cache }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return checked(place, jobManifestSchema.shape.fit, {
    epochs,
    batchSize,
    consistency: where,
    shuffle,
    validate,
    ...optional,
  }) as JobDefinition["fit"];
}

/** Says in the mode where dense variables are; what the mode says itself may be said again. */
function placedDense(
  place: string,
  consistency: ConsistencySpec,
  dense: unknown,
): { consistency: ConsistencySpec; dense?: "sharded" } {
  if (dense === undefined) return { consistency };
  checkChoice(`${place}.dense`, dense, DENSE_PLACES);
  if (dense === "sharded" && consistencyOf(consistency).dense === "all-reduce") return { consistency, dense };
  const placed = dense === "sharded" ? undefined : withDense(consistency, dense);
  if (placed) return { consistency: placed };
  throw new TypeError(
    `${place}.dense is "${dense}", which ${consistency.mode} cannot do: its dense variables come together by ` +
      `"${consistencyOf(consistency).dense}"; leave it out`,
  );
}

function checkCache(place: string, cache: unknown, consistency: ConsistencySpec): void {
  checkObject(place, cache);
  refuseUnknownKeys(place, cache, ["stalenessSteps", "rowsMax"]);
  const { stalenessSteps, rowsMax } = cache as CacheArgs;
  checkInteger(`${place}.stalenessSteps`, stalenessSteps, { min: 1, max: LIMITS.stalenessStepsMax, usual: 8 });
  if (rowsMax !== undefined) checkInteger(`${place}.rowsMax`, rowsMax, { min: 1, max: U32_MAX, usual: 100_000 });
  const { keepsRowsFor } = consistencyOf(consistency);
  if (keepsRowsFor === 0)
    throw new TypeError(
      `${place}: ${consistency.mode} promises the newest rows, and kept ones are older; use ssp(), asp() or localSgd()`,
    );
  if (stalenessSteps > keepsRowsFor)
    throw new RangeError(
      `${place}.stalenessSteps is ${stalenessSteps}, above the ${keepsRowsFor} steps that ${consistency.mode} promises; give at most that`,
    );
}

/** Which forms are there for what. */
const WIRE_FORMS = ["float32", "bfloat16", "int8"] as const;

function checkWire(place: string, wire: unknown): void {
  checkObject(place, wire);
  refuseUnknownKeys(place, wire, ["rows", "gradients", "dense", "errorFeedback"]);
  const { rows, gradients, dense, errorFeedback } = wire as WireArgs;
  if (rows !== undefined) checkChoice(`${place}.rows`, rows, WIRE_FORMS);
  for (const [of, form] of Object.entries({ gradients, dense })) {
    if (form === undefined) continue;
    if (typeof form !== "object") {
      checkChoice(`${place}.${of}`, form, WIRE_FORMS);
      continue;
    }
    refuseUnknownKeys(`${place}.${of}`, form, ["topK"]);
    const { topK } = form;
    if (typeof topK !== "number" || !(topK > 0 && topK < 1))
      throw new RangeError(`${place}.${of}.topK is ${topK}; give a share above 0 and below 1, usually 0.01`);
  }
  if (errorFeedback !== undefined && typeof errorFeedback !== "boolean")
    throw new TypeError(`${place}.errorFeedback is ${JSON.stringify(errorFeedback)}; give true or false`);
}

/** Losses over classes, of which some may weigh more than others. */
const CLASS_LOSSES: readonly string[] = [
  "binaryCrossentropy",
  "categoricalCrossentropy",
  "sparseCategoricalCrossentropy",
  "hinge",
];

function checkClassWeight(place: string, classWeight: unknown, { loss }: JobDefinition["compile"]): void {
  checkObject(`${place}.classWeight`, classWeight);
  if (typeof loss !== "string" || CLASS_LOSSES.includes(loss)) return;
  throw new TypeError(
    `${place}.classWeight weighs classes, and loss "${loss}" has none: give each row a weight in the data, as ` +
      `weight: "importance"`,
  );
}

function checkedStopping(
  place: string,
  stopping: EarlyStoppingArgs,
  { metrics }: JobDefinition["compile"],
): EarlyStoppingSpec {
  checkObject(place, stopping);
  refuseUnknownKeys(place, stopping, ["monitor", "patience", "minDelta", "mode"]);
  const { monitor = "val_loss", patience = 0, minDelta = 0 } = stopping;
  const monitored = monitoredOf(String(monitor));
  const known: readonly string[] = ["loss", ...metrics];
  if (monitored.of === "held-out" && !known.includes(monitored.metric)) {
    throw new TypeError(
      `${place}.monitor is ${JSON.stringify(monitor)}, which is not evaluated: it may be "loss" or ` +
        `${known.map((name) => `"val_${name}"`).join(", ")}; add others to compile.metrics`,
    );
  }
  if (monitored.of === "held-out" && monitored.metric === "calibration")
    throw new TypeError(
      `${place}.monitor is calibration, which is best at 1, not when it is least or greatest; watch "val_loss"`,
    );
  const { mode = monitored.of === "training" || LESS_IS_BETTER.includes(monitored.metric) ? "min" : "max" } = stopping;
  return checked(place, earlyStoppingSchema, { monitor, patience, minDelta, mode });
}

/** Errors. The other metrics tell how much is right; calibration is best at 1, so it has no direction. */
const LESS_IS_BETTER: readonly string[] = ["loss", "logloss", "mse", "rmse", "mae"];

/** @throws {TypeError} naming the first part that is wrong */
function checked<T>(place: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new TypeError(`${[place, ...issue.path].join(".")}: ${issue.message}`, { cause: parsed.error });
}

function checkObject(place: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`${place} is ${JSON.stringify(value) ?? String(value)}; it must be an object`);
}
