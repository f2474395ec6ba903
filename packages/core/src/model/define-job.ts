/**
 * A job as an author writes it: checked at once, so that a typing error is told in a second, with its place and the
 * nearest right word, not after a cluster has started. `job-manifest.ts` makes data of it.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { dataSpecSchema, type DataSpec } from "../data/spec/data-spec.ts";
import {
  clipSchema,
  lossNameSchema,
  METRIC_NAMES,
  metricSchema,
  type LossName,
  type MetricName,
} from "../job/manifest.ts";
import { isPlainUpdate, optimizerSpecFrom, type OptimizerName, type OptimizerSpec } from "../optimizer/index.ts";
import { checkedFit, type FitArgs, type FitSpec } from "./fit.ts";
import { checkChoice, checked, checkInteger, checkObject, refuseUnknownKeys } from "./layers/author-error.ts";
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
  /** Of the dense weights, wherever they are: on the workers, unless `fit` says otherwise. */
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
