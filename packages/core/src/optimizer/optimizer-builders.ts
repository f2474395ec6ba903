/**
 * What an author writes: `adagrad({ learningRate: 0.05 })`, or a name as in tfjs `compile`. Each gives a spec, as
 * data, with every number written out; a learning rate may be a schedule, as `cosineDecay({ … })`. The rates are those of tfjs `compile`, FTRL's is Google's usual one.
 */
import { checkOptimizerSpec, type SpecOf } from "./optimizer-check.ts";
import type { OptimizerKind, OptimizerSpec } from "./optimizer-spec.ts";
import type { LearningRateSchedule } from "./schedule-builders.ts";

/** Options of {@link sgd}. */
export interface SgdOptions {
  /** A number or a schedule, as `cosineDecay({ … })`; 0.01 by default. */
  learningRate?: number | LearningRateSchedule | undefined;
}

/** Options of {@link momentum}. */
export interface MomentumOptions extends SgdOptions {
  /** Share of the step before that is taken again, from 0 to below 1; 0.9 by default. */
  momentum?: number | undefined;
  /** Nesterov's form; false by default. */
  nesterov?: boolean | undefined;
}

/** Options of {@link adagrad} and {@link rowwiseAdagrad}. */
export interface AdagradOptions extends SgdOptions {
  /** What the sums of squares begin with; 0.1 by default, 0 of rowwiseAdagrad. */
  initialAccumulator?: number | undefined;
  /** Added to the divisor; 1e-7 by default, 1e-8 of rowwiseAdagrad. */
  epsilon?: number | undefined;
}

/** Options of {@link adam}. */
export interface AdamOptions {
  /** A number or a schedule, as `cosineDecay({ … })`; 0.001 by default. */
  learningRate?: number | LearningRateSchedule | undefined;
  /** Decay of the mean of gradients, from 0 to below 1; 0.9 by default. */
  beta1?: number | undefined;
  /** Decay of the mean of their squares, from 0 to below 1; 0.999 by default. */
  beta2?: number | undefined;
  /** Added to the divisor; 1e-7 by default. */
  epsilon?: number | undefined;
}

/** Options of {@link adamw}. */
export interface AdamwOptions extends AdamOptions {
  /** Share of a weight, times the learning rate, that each update takes away; 0.004 by default. */
  weightDecay?: number | undefined;
}

/** Options of {@link ftrl}. */
export interface FtrlOptions {
  /** α of the paper, a number: its rate falls by itself; 0.05 by default. */
  learningRate?: number | undefined;
  /** β of the paper, which slows the first updates; 1 by default. */
  beta?: number | undefined;
  /** λ₁, which makes weights exactly 0; 0 by default. */
  l1?: number | undefined;
  /** λ₂, which draws weights to 0; 0 by default. */
  l2?: number | undefined;
}

/**
 * Stochastic gradient descent.
 *
 * @throws {RangeError} a number out of its range, of this and every other optimizer
 * @see tf.train.sgd
 * @example compile: { optimizer: sgd({ learningRate: 0.1 }), loss: "meanSquaredError" }
 */
export function sgd(options: SgdOptions = {}): OptimizerSpec {
  return build({ kind: "sgd", learningRate: 0.01 }, options);
}

/**
 * Gradient descent with momentum, or Nesterov's form of it.
 *
 * @see tf.train.momentum
 */
export function momentum(options: MomentumOptions = {}): OptimizerSpec {
  return build({ kind: "momentum", learningRate: 0.01, momentum: 0.9, nesterov: false }, options);
}

/**
 * Adagrad: one accumulator per weight.
 *
 * Gradients are means over a batch, so a table's are small beside an initial accumulator of 0.1, and its rows hardly
 * move: on a table {@link rowwiseAdagrad}, or a smaller `initialAccumulator`, learns faster. On Amazon's employee access
 * data, with the other options equal, the held-out AUC was .59 with `adagrad()` and .87 with `rowwiseAdagrad()`.
 *
 * @see Duchi et al., JMLR 2011; tf.train.adagrad
 */
export function adagrad(options: AdagradOptions = {}): OptimizerSpec {
  return build({ kind: "adagrad", learningRate: 0.01, initialAccumulator: 0.1, epsilon: 1e-7 }, options);
}

/**
 * Row-wise Adagrad: one accumulator per row, the usual choice for large tables; for `sparseOptimizer` alone.
 *
 * @see FBGEMM's and TorchRec's EXACT_ROWWISE_ADAGRAD
 */
export function rowwiseAdagrad(options: AdagradOptions = {}): OptimizerSpec {
  return build({ kind: "rowwise-adagrad", learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-8 }, options);
}

/**
 * Adam; on a table, corrected for bias by each row's own number of updates.
 *
 * @see Kingma and Ba, ICLR 2015; tf.train.adam
 */
export function adam(options: AdamOptions = {}): OptimizerSpec {
  return build({ kind: "adam", learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }, options);
}

/**
 * Adam with weight decay apart from the gradient; a row of a table shrinks when it is updated.
 *
 * @see Loshchilov and Hutter, ICLR 2019; Keras's AdamW
 */
export function adamw(options: AdamwOptions = {}): OptimizerSpec {
  return build(
    { kind: "adamw", learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weightDecay: 0.004 },
    options,
  );
}

/**
 * FTRL-proximal: `l1` makes weights exactly 0.
 *
 * A `beta` of 1 is the paper's, for gradients of single samples; beside those of batches, which are means, it is large
 * and slows tables down: give them a smaller one, as 0.01.
 *
 * @see McMahan et al., KDD 2013
 */
export function ftrl(options: FtrlOptions = {}): OptimizerSpec {
  return build({ kind: "ftrl", learningRate: 0.05, beta: 1, l1: 0, l2: 0 }, options);
}

/** Optimizers by name, with the numbers that their functions have by default: "adam" is `adam()`. */
export type OptimizerName = "sgd" | "momentum" | "adagrad" | "rowwise-adagrad" | "adam" | "adamw" | "ftrl";

/** Names as in tfjs `compile` (which also takes them capitalised), and ours. */
const BY_NAME: ReadonlyMap<string, () => OptimizerSpec> = new Map<OptimizerName, () => OptimizerSpec>([
  ["sgd", () => sgd()],
  ["momentum", () => momentum()],
  ["adagrad", () => adagrad()],
  ["rowwise-adagrad", () => rowwiseAdagrad()],
  ["adam", () => adam()],
  ["adamw", () => adamw()],
  ["ftrl", () => ftrl()],
]);

/**
 * The spec of a name with its default numbers, or the spec itself.
 *
 * @throws {RangeError} unknown name, or a number out of its range
 * @example optimizerSpecFrom("adam") // adam({ learningRate: 0.001 })
 */
export function optimizerSpecFrom(nameOrSpec: string | OptimizerSpec): OptimizerSpec {
  if (typeof nameOrSpec !== "string") {
    checkOptimizerSpec(nameOrSpec);
    return nameOrSpec;
  }
  const named = BY_NAME.get(nameOrSpec.toLowerCase());
  if (named) return named();
  throw new RangeError(`unknown optimizer "${nameOrSpec}": use one of ${[...BY_NAME.keys()].join(", ")}`);
}

function build<Kind extends OptimizerKind>(defaults: SpecOf<Kind>, options: object): OptimizerSpec {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) {
    if (name === "kind" || !(name in defaults)) throw unknownOption(defaults, name);
  }
  const spec: OptimizerSpec = { ...defaults, ...Object.fromEntries(given.flatMap(partsOf)) };
  checkOptimizerSpec(spec);
  return spec;
}

/** A schedule is two parts of the spec. */
function partsOf([name, value]: [string, unknown]): [string, unknown][] {
  if (typeof value !== "object" || value === null || !("schedule" in value)) return [[name, value]];
  const { initialLearningRate, schedule } = value as LearningRateSchedule;
  return [
    ["learningRate", initialLearningRate],
    ["schedule", schedule],
  ];
}

function unknownOption(defaults: OptimizerSpec, name: string): TypeError {
  const known = Object.keys(defaults).filter((each) => each !== "kind");
  return new TypeError(`${defaults.kind} has no option "${name}": it takes ${known.join(", ")}`);
}
