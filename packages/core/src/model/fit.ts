/**
 * How a job is trained, as its author writes it: checked at once, each part by itself and with those that it must go
 * together with.
 */
import { bsp, consistencyOf, consistencySpecSchema, withDense, type ConsistencySpec } from "../consistency/index.ts";
import {
  earlyStoppingSchema,
  jobManifestSchema,
  type ClipSpec,
  type EarlyStoppingSpec,
  type JobManifest,
  type LossName,
  type MetricName,
} from "../job/manifest.ts";
import { monitoredOf } from "../job/monitor.ts";
import { LIMITS } from "../limits.ts";
import type { OptimizerSpec } from "../optimizer/index.ts";
import { refuseUnshardable } from "../training/dense/sharded-state.ts";
import { checkChoice, checked, checkInteger, checkObject, refuseUnknownKeys } from "./layers/author-error.ts";
import type { TrainingFunction } from "./tower/training-function.ts";

/** How long and in which steps a model is trained: as tfjs's `model.fit`, and what a cluster adds to it. */
export interface FitArgs {
  /** 1 by default. */
  epochs?: number;
  /** Samples of one step over all workers. */
  batchSize: number;
  /** How far workers may be apart: `bsp()` by default; those of `ssp()`, `asp()` and `localSgd()` wait less, or never. */
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
   * same, and dense gradients between workers: "float32" by default, as they are; "bfloat16" in half the bytes, with 8
   * bits of each value; "int8" in a quarter, with 256 even steps between the least and the greatest value of each row.
   */
  wire?: WireArgs | undefined;
  /** Steps whose samples and keys a worker reads ahead, which costs memory for as many batches; 2 by default. */
  prefetch?: number | undefined;
  /**
   * Where dense variables come together. `bsp()` all-reduces their gradients; with "ps" parameter servers hold and
   * update them, as in `ssp()` and `asp()`; with "sharded" each worker keeps the optimizer's state of its share alone
   * (ZeRO-1: Rajbhandari et al., SC 2020), for optimizers and bounds on gradients that treat each weight by itself.
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

/** How a job is trained, every default written out. */
export type FitSpec = Omit<JobManifest["fit"], "earlyStopping"> & {
  earlyStopping?: (EarlyStoppingSpec & { monitor: MonitorName }) | undefined;
};

/** Of what a job is compiled with: what a fit must go together with. */
interface CompileOfFit {
  readonly optimizer: OptimizerSpec;
  readonly loss: LossName | TrainingFunction;
  readonly metrics: readonly MetricName[];
  readonly clip?: ClipSpec;
}

const U32_MAX = 0xffff_ffff;

/**
 * Checks how a job is trained, and writes out its defaults.
 *
 * @throws {TypeError} an unknown or missing key, a value of the wrong kind, or two that do not go together
 * @throws {RangeError} a number out of its limits
 */
export function checkedFit(place: string, fit: FitArgs, compile: CompileOfFit): Readonly<FitSpec> {
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
  const { shuffle = true, classWeight, wire, prefetch, cache } = fit;
  const mode = checkedConsistency(`${place}.consistency`, consistency);
  const { consistency: where, dense } = placedDense(place, mode, fit.dense);
  if (cache !== undefined) checkCache(`${place}.cache`, cache, where);
  if (wire !== undefined) checkWire(`${place}.wire`, wire, where);
  if (dense === "sharded") checkSharding(place, { wire, compile });
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
  }) as FitSpec;
}

/** @throws {TypeError} no mode, or the first of its options that is wrong */
function checkedConsistency(place: string, consistency: unknown): ConsistencySpec {
  const mode = consistencySpecSchema.safeParse(consistency);
  if (mode.success) return mode.data;
  const issue = mode.error.issues[0]!;
  const option = issue.path.join(".");
  const isNoMode = option === "mode" || (option === "" && issue.code === "invalid_type");
  const fault = isNoMode
    ? "; make it with bsp(), ssp(), asp() or localSgd()"
    : `: ${[option, issue.message].filter((part) => part !== "").join(": ")}`;
  throw new TypeError(`${place} is ${JSON.stringify(consistency)}${fault}`, { cause: mode.error });
}

/** As its author wrote it. */
function nameOf({ mode, ...options }: ConsistencySpec): string {
  const all = Object.entries(options).map(([option, value]) => `${option}: ${JSON.stringify(value)}`);
  return `${mode}(${all.length === 0 ? "" : `{ ${all.join(", ")} }`})`;
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
    `${place}.dense is "${dense}", which ${nameOf(consistency)} cannot do: its dense variables come together by ` +
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
      `${place}: ${nameOf(consistency)} promises the newest rows, and kept ones are older; leave it out, or use asp(), ` +
        `localSgd(), or ssp() with a staleness of 1 or more`,
    );
  if (stalenessSteps > keepsRowsFor)
    throw new RangeError(
      `${place}.stalenessSteps is ${stalenessSteps}, above the ${keepsRowsFor} steps that ${nameOf(consistency)} promises; give at most that`,
    );
}

/** Which forms are there for what. */
const WIRE_FORMS = ["float32", "bfloat16", "int8"] as const;

function checkWire(place: string, wire: unknown, consistency: ConsistencySpec): void {
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
  const { dense: where } = consistencyOf(consistency);
  if (where === "all-reduce" || (dense ?? "float32") === "float32") return;
  throw new TypeError(
    `${place}.dense is the form of dense gradients that workers all-reduce, which they do not in ` +
      `${nameOf(consistency)}: ${where === "rounds" ? "give localSgd() a compression instead" : "leave it out"}`,
  );
}

/** Does each worker's share of the sums suffice to update its share of the weights? */
function checkSharding(place: string, { wire, compile }: { wire: WireArgs | undefined; compile: CompileOfFit }): void {
  try {
    refuseUnshardable(compile);
  } catch (cause) {
    throw new RangeError(`${place}: ${(cause as Error).message}`, { cause });
  }
  if (typeof wire?.dense === "object")
    throw new TypeError(
      `${place}.dense is "sharded", and with wire.dense topK no worker has sums of its own; use "int8", or leave one out`,
    );
}

/** Losses over classes, of which some may weigh more than others. */
const CLASS_LOSSES: readonly string[] = [
  "binaryCrossentropy",
  "categoricalCrossentropy",
  "sparseCategoricalCrossentropy",
  "hinge",
];

function checkClassWeight(place: string, classWeight: unknown, { loss }: CompileOfFit): void {
  checkObject(`${place}.classWeight`, classWeight);
  if (typeof loss !== "string" || CLASS_LOSSES.includes(loss)) return;
  throw new TypeError(
    `${place}.classWeight weighs classes, and loss "${loss}" has none: give each row a weight in the data, as ` +
      `weight: "importance"`,
  );
}

function checkedStopping(place: string, stopping: EarlyStoppingArgs, { metrics }: CompileOfFit): EarlyStoppingSpec {
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
