/**
 * A job as an author writes it: checked at once, so that a typing error is told in a second, with its place and the
 * nearest right word, not after a cluster has started. `job-manifest.ts` makes data of it.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { bsp, consistencySpecSchema, type ConsistencySpec } from "../consistency/index.ts";
import { dataSpecSchema, type DataSpec } from "../data/data-spec.ts";
import { lossSchema, metricSchema, type LossName, type MetricName } from "../job/manifest.ts";
import { optimizerSpecFrom, type OptimizerSpec } from "../optimizer/index.ts";
import { checkChoice, checkInteger, refuseUnknownKeys } from "./author-error.ts";

export interface JobArgs {
  name: string;
  /** Of initial rows, initial dense weights and epoch orders; 0 by default. */
  seed?: number;
  data: DataSpec;
  /** Makes the model; called where the job is submitted, never on a worker. */
  model: () => LayersModel | Promise<LayersModel>;
  compile: {
    /** Of the dense weights, on the workers. */
    optimizer: string | OptimizerSpec;
    /** Of the embedding tables, on the parameter servers; `optimizer` by default. */
    sparseOptimizer?: string | OptimizerSpec;
    loss: LossName;
    metrics?: readonly MetricName[];
  };
  fit: {
    /** 1 by default. */
    epochs?: number;
    /** Samples of one step over all workers. */
    batchSize: number;
    /** `bsp()` by default. */
    consistency?: ConsistencySpec;
    /** Ends training early, after this many steps. */
    stepsMax?: number;
  };
}

/** A checked job, every default written out. Frozen. */
export interface JobDefinition {
  readonly name: string;
  readonly seed: number;
  readonly data: DataSpec;
  readonly model: () => LayersModel | Promise<LayersModel>;
  readonly compile: Readonly<{
    optimizer: OptimizerSpec;
    sparseOptimizer: OptimizerSpec;
    loss: LossName;
    metrics: readonly MetricName[];
  }>;
  readonly fit: Readonly<{ epochs: number; batchSize: number; consistency: ConsistencySpec; stepsMax?: number }>;
}

const NAME_CHARS_MAX = 200;
const U32_MAX = 0xffff_ffff;

/**
 * Checks a job. A checked job may be passed again.
 *
 * @throws {TypeError} an unknown or missing key, or a value of the wrong kind
 * @throws {RangeError} a number out of its limits
 */
export function defineJob(job: JobArgs | JobDefinition): JobDefinition {
  checkObject("defineJob()", job);
  refuseUnknownKeys("defineJob()", job, ["name", "seed", "data", "model", "compile", "fit"]);
  const { name, seed = 0, model } = job;
  if (typeof name !== "string" || name === "" || name.length > NAME_CHARS_MAX) {
    throw new TypeError(
      `defineJob(): name is ${JSON.stringify(name)}; give the job a name of 1 to ${NAME_CHARS_MAX} characters`,
    );
  }
  checkInteger(`job "${name}": seed`, seed, { min: 0, max: U32_MAX, usual: 1 });
  if (typeof model !== "function") {
    throw new TypeError(
      `job "${name}": model is no function; write model() { … return tf.model({ inputs, outputs }); }`,
    );
  }
  return Object.freeze({
    name,
    seed,
    data: checkedData(name, job.data),
    model,
    compile: Object.freeze(checkedCompile(`job "${name}": compile`, job.compile)),
    fit: Object.freeze(checkedFit(`job "${name}": fit`, job.fit)),
  });
}

function checkedData(job: string, data: DataSpec): DataSpec {
  const checked = dataSpecSchema.safeParse(data);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const place = ["data", ...issue!.path].join(".");
  throw new TypeError(`job "${job}": ${place}: ${issue!.message}; make data with parquet(…)`, { cause: checked.error });
}

function checkedCompile(
  place: string,
  compile: JobArgs["compile"] | JobDefinition["compile"],
): JobDefinition["compile"] {
  checkObject(place, compile);
  refuseUnknownKeys(place, compile, ["optimizer", "sparseOptimizer", "loss", "metrics"]);
  const { loss, metrics = [] } = compile;
  checkChoice(`${place}.loss`, loss, lossSchema.options);
  if (!Array.isArray(metrics))
    throw new TypeError(`${place}.metrics is ${JSON.stringify(metrics)}; it must be a list, as ["auc"]`);
  for (const [i, metric] of metrics.entries()) checkChoice(`${place}.metrics[${i}]`, metric, metricSchema.options);
  const optimizer = checkedOptimizer(`${place}.optimizer`, compile.optimizer);
  if (optimizer.kind === "rowwise-adagrad") {
    throw new TypeError(
      `${place}.optimizer is rowwise-adagrad, which keeps one accumulator per row and is for embedding tables: ` +
        `give it as sparseOptimizer, and, say, "adam" as optimizer of the tower`,
    );
  }
  return {
    optimizer,
    sparseOptimizer: checkedOptimizer(`${place}.sparseOptimizer`, compile.sparseOptimizer ?? optimizer),
    loss,
    metrics: Object.freeze([...metrics]),
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

function checkedFit(place: string, fit: JobArgs["fit"] | JobDefinition["fit"]): JobDefinition["fit"] {
  checkObject(place, fit);
  refuseUnknownKeys(place, fit, ["epochs", "batchSize", "consistency", "stepsMax"]);
  const { epochs = 1, batchSize, consistency = bsp(), stepsMax } = fit;
  checkInteger(`${place}.epochs`, epochs, { min: 1, max: U32_MAX, usual: 1 });
  checkInteger(`${place}.batchSize`, batchSize, { min: 1, max: U32_MAX, usual: 4096 });
  if (stepsMax !== undefined) checkInteger(`${place}.stepsMax`, stepsMax, { min: 1, max: U32_MAX, usual: 1000 });
  const mode = consistencySpecSchema.safeParse(consistency);
  if (!mode.success) {
    throw new TypeError(`${place}.consistency is ${JSON.stringify(consistency)}; make it with bsp()`, {
      cause: mode.error,
    });
  }
  return { epochs, batchSize, consistency: mode.data, ...(stepsMax === undefined ? {} : { stepsMax }) };
}

function checkObject(place: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`${place} is ${JSON.stringify(value) ?? String(value)}; it must be an object`);
}
