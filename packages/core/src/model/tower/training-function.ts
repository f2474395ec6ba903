/**
 * Training functions: losses that `compile` has no name for. An author writes one in a plugin file, every worker loads
 * its operator's own copy of that file (`volary worker --plugin FILE`), and the job names it by the file's hash:
 * functions never travel. What runs it is `function-model.ts`.
 *
 * It sees one worker's slot of a step. Negatives that it takes from the batch (in-batch negatives) are therefore the
 * other samples of the same slot: with more workers each has fewer. The data's `negatives(…)` does not depend on that.
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { FunctionRef } from "../../job/manifest.ts";
import { LIMITS } from "../../limits.ts";
import type { InitializerSpec } from "../../table/table-spec.ts";
import type { Plugins } from "../../plugin/index.ts";
import { checkInteger, refuseUnknownKeys } from "../layers/author-error.ts";
import type { EmbeddingArgs } from "../layers/embedding.ts";

/** Rows of a table that a function asks for, of the field of the same name. */
export interface FunctionRows extends Omit<EmbeddingArgs, "name" | "maskZero"> {
  /** Another field whose keys are looked up. */
  field?: string;
  /** Keys of a sequence, or at most this many that the combiner takes; without it a sample has one key. */
  length?: number;
}

/** Dense weights that a function has beside the model's. */
export interface FunctionVariable {
  shape: readonly number[];
  /** Zeros by default. */
  initializer?: InitializerSpec;
}

/** The declared names, and any others that the job's model brings. */
export type NamedTensors<Name extends string> = { readonly [name in Name]: tf.Tensor } & {
  readonly [name: string]: tf.Tensor;
};

/** B samples of this worker's slot. The tensors are Volary's: dispose none, keep none. */
export interface FunctionInputs<
  Rows extends string = string,
  Numbers extends string = string,
  Variables extends string = string,
> {
  /** Shape [B, dim], or of a sequence [B, length, dim]. The model's rows stand under their fields' names. */
  readonly rows: NamedTensors<Rows>;
  /** Of the sequences that have one: 1 where a place holds a key, else 0, shape [B, length]. */
  readonly masks: NamedTensors<string>;
  /** Shape [B, …shape]. */
  readonly numbers: NamedTensors<Numbers>;
  /** Dense weights of the function's own. */
  readonly variables: NamedTensors<Variables>;
  /** B. */
  readonly samples: number;
  /**
   * The output of the job's model, shape [B, O], for this slot's inputs or with some of them replaced: so a sample's
   * negatives go through the same model.
   *
   * @throws {TypeError} the job has no model
   */
  readonly tower: (replaced?: { rows?: Record<string, tf.Tensor>; numbers?: Record<string, tf.Tensor> }) => tf.Tensor;
}

/** What `step` is given: as {@link FunctionInputs}, and labels and weights. */
export interface FunctionStep<
  Rows extends string = string,
  Numbers extends string = string,
  Variables extends string = string,
> extends FunctionInputs<Rows, Numbers, Variables> {
  /** Shape [B, L]. */
  readonly labels: tf.Tensor2D;
  /** Shape [B]. Each sample's loss must be multiplied by it: it is 0 for a row that could not be read. */
  readonly weight: tf.Tensor1D;
}

/** Arguments of {@link trainingFunction}. */
export interface TrainingFunctionArgs<Rows extends string, Numbers extends string, Variables extends string> {
  /** What the job's manifest names it by, unique in its file. */
  name: string;
  /** Rows it needs, beside those of the job's model. */
  rows?: Readonly<Record<Rows, FunctionRows>>;
  /** Numbers it needs, by field: their shape for each sample. */
  numbers?: Readonly<Record<Numbers, readonly number[]>>;
  /** Dense weights of its own, trained with the model's. */
  variables?: Readonly<Record<Variables, FunctionVariable>>;
  /** The *sum* of the samples' losses, a scalar: the sums of all slots are added. It runs inside `tf.tidy`. */
  step: (at: FunctionStep<Rows, Numbers, Variables>) => tf.Tensor;
  /** Predictions, shape [B, outputs] or [B]; what the job's model gives, unless said otherwise. */
  predict?: (at: FunctionInputs<Rows, Numbers, Variables>) => tf.Tensor;
  /** Numbers that `predict` gives for a sample; 1 by default. */
  outputs?: number;
}

/** What {@link trainingFunction} makes: a loss of one's own, named by a job and loaded by each worker. Frozen. */
export interface TrainingFunction {
  readonly kind: "trainingFunction";
  readonly name: string;
  readonly rows: Readonly<Record<string, FunctionRows>>;
  readonly numbers: Readonly<Record<string, readonly number[]>>;
  readonly variables: Readonly<Record<string, FunctionVariable>>;
  readonly step: (at: FunctionStep) => tf.Tensor;
  readonly predict: ((at: FunctionInputs) => tf.Tensor) | undefined;
  readonly outputs: number | undefined;
}

/**
 * Makes a training function; export it from a plugin file and give it to a job as `compile.loss`.
 *
 * @throws {TypeError} no name, no step, an unknown option, or outputs without a predict
 * @example
 * export const bpr = trainingFunction({
 *   name: "bpr",
 *   rows: { user: { table: "user", dim: 16 }, item: { table: "item", dim: 16 }, other: { table: "item", dim: 16 } },
 *   step: ({ rows: { user, item, other }, weight }) =>
 *     tf.sum(tf.mul(weight, tf.softplus(tf.sum(tf.mul(user, tf.sub(other, item)), -1)))),
 *   predict: ({ rows: { user, item } }) => tf.sigmoid(tf.sum(tf.mul(user, item), -1)),
 * });
 */
export function trainingFunction<
  Rows extends string = never,
  Numbers extends string = never,
  Variables extends string = never,
>(args: TrainingFunctionArgs<Rows, Numbers, Variables>): TrainingFunction {
  const { name, step, predict, outputs } = args;
  if (typeof name !== "string" || name === "")
    throw new TypeError(`trainingFunction(): name is ${JSON.stringify(name)}; give it a name`);
  const place = `trainingFunction("${name}")`;
  refuseUnknownKeys(place, args, ["name", "rows", "numbers", "variables", "step", "predict", "outputs"]);
  if (typeof step !== "function")
    throw new TypeError(
      `${place}: step is no function; write step({ rows, labels, weight }) { … return tf.sum(losses); }`,
    );
  if (outputs !== undefined) {
    checkInteger(`${place}: outputs`, outputs, { min: 1, max: LIMITS.outputsMax, usual: 1 });
    if (!predict) throw new TypeError(`${place}: outputs are what predict gives, and there is no predict; write one`);
  }
  const { rows, numbers, variables } = args as TrainingFunctionArgs<string, string, string>;
  return Object.freeze({
    kind: "trainingFunction",
    name,
    rows: { ...rows },
    numbers: { ...numbers },
    variables: { ...variables },
    step,
    predict,
    outputs,
  });
}

/** Is this what {@link trainingFunction} makes, even by another copy of this package? */
export function isTrainingFunction(value: unknown): value is TrainingFunction {
  return (value as TrainingFunction | null | undefined)?.kind === "trainingFunction";
}

/**
 * The training function that a job's loss names.
 *
 * @throws {ClusterError} BAD_JOB: it is not loaded on this node, or from a file of other bytes
 */
export function trainingFunctionOf(plugins: Plugins, ref: FunctionRef): TrainingFunction {
  const found: unknown = plugins.trainingFunction(ref);
  return found as TrainingFunction;
}

/**
 * How a manifest names a function.
 *
 * @throws {TypeError} none of the loaded plugin files has it
 */
export function functionRefOf(plugins: Plugins, { kind, name }: TrainingFunction): FunctionRef {
  const plugin = plugins.fileOf({ kind, name });
  if (plugin) return { function: name, sha256: plugin.sha256 };
  throw new TypeError(
    `the training function "${name}" is in no plugin file that was given: functions do not travel, so each worker loads ` +
      `the file that exports it; give it as --plugin FILE, or Cluster.local({ plugins: [FILE] })`,
  );
}
