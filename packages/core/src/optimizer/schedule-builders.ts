/**
 * What an author writes for a learning rate that changes: `adam({ learningRate: cosineDecay({ … }) })`. Names and
 * formulas are Keras's; `warmupSteps` is ours for all of them, and decays count their steps from its end.
 */
import { type ScheduleSpec, scheduleSchema } from "./optimizer-spec.ts";

/** A learning rate that changes with the step, as `cosineDecay({ … })` makes it; for `learningRate` of an optimizer. */
export interface LearningRateSchedule {
  /** The learning rate of which `schedule` gives multiples. */
  readonly initialLearningRate: number;
  /** Multiples of `initialLearningRate`. */
  readonly schedule: ScheduleSpec;
}

/** What every decay may begin with. */
export interface Warmup {
  /** Steps in which the rate rises evenly from 0; none by default. */
  warmupSteps?: number;
}

/** Arguments of {@link exponentialDecay}. */
export interface ExponentialDecayArgs extends Warmup {
  initialLearningRate: number;
  /** Steps in which the rate is multiplied by `decayRate` once; from 1. */
  decaySteps: number;
  decayRate: number;
  /** Only whole multiples of `decaySteps` count; false by default. */
  staircase?: boolean;
}

/** Arguments of {@link cosineDecay}. */
export interface CosineDecayArgs extends Warmup {
  initialLearningRate: number;
  /** Steps from the highest rate to the lowest; from 1. */
  decaySteps: number;
  /** The lowest rate, as a share of the highest; 0 by default. */
  alpha?: number;
}

/** Arguments of {@link piecewiseConstant}. */
export interface PiecewiseConstantArgs extends Warmup {
  /** Steps, ascending: the last ones of the values but one. */
  boundaries: readonly number[];
  /** Learning rates, one more than there are boundaries. */
  values: readonly number[];
}

/** Arguments of {@link linearWarmup}. */
export interface LinearWarmupArgs {
  learningRate: number;
  /** Steps in which the rate rises evenly from 0. */
  warmupSteps: number;
}

/**
 * initialLearningRate · decayRate^(step / decaySteps); `staircase`: of the whole part of the exponent.
 *
 * @throws {RangeError} a number out of its range
 * @see Keras's ExponentialDecay
 * @example adam({ learningRate: exponentialDecay({ initialLearningRate: 0.01, decaySteps: 1000, decayRate: 0.9 }) })
 */
export function exponentialDecay({
  initialLearningRate,
  decaySteps,
  decayRate,
  staircase = false,
  warmupSteps = 0,
}: ExponentialDecayArgs): LearningRateSchedule {
  return checked("exponentialDecay", {
    initialLearningRate,
    schedule: { kind: "exponential", steps: decaySteps, rate: decayRate, staircase, warmupSteps },
    said: { steps: "decaySteps", rate: "decayRate" },
  });
}

/**
 * Half a cosine from initialLearningRate down to alpha · initialLearningRate over `decaySteps`; then it stays there.
 *
 * @throws {RangeError} a number out of its range
 * @see Loshchilov and Hutter, ICLR 2017; Keras's CosineDecay
 * @example adam({ learningRate: cosineDecay({ initialLearningRate: 0.01, decaySteps: 10_000, warmupSteps: 500 }) })
 */
export function cosineDecay({
  initialLearningRate,
  decaySteps,
  alpha = 0,
  warmupSteps = 0,
}: CosineDecayArgs): LearningRateSchedule {
  return checked("cosineDecay", {
    initialLearningRate,
    schedule: { kind: "cosine", steps: decaySteps, floor: alpha, warmupSteps },
    said: { steps: "decaySteps", floor: "alpha" },
  });
}

/**
 * values[0] up to step boundaries[0] inclusive, then values[1] up to boundaries[1], …; the last one after all.
 * Steps count from 0.
 *
 * @throws {RangeError} boundaries that do not ascend, or not one value more than there are boundaries
 * @see Keras's PiecewiseConstantDecay
 * @example sgd({ learningRate: piecewiseConstant({ boundaries: [1000, 5000], values: [0.1, 0.01, 0.001] }) })
 */
export function piecewiseConstant({
  boundaries,
  values,
  warmupSteps = 0,
}: PiecewiseConstantArgs): LearningRateSchedule {
  if (values.length !== boundaries.length + 1) {
    throw new RangeError(
      `piecewiseConstant(): ${boundaries.length} boundaries and ${values.length} values; give one value more than boundaries`,
    );
  }
  const odd = boundaries.findIndex((boundary, i) => i > 0 && !(boundary > boundaries[i - 1]!));
  if (odd !== -1) {
    throw new RangeError(
      `piecewiseConstant(): boundaries must ascend: boundaries[${odd}] is ${boundaries[odd]} after ${boundaries[odd - 1]}`,
    );
  }
  return checked("piecewiseConstant", {
    initialLearningRate: 1,
    schedule: {
      kind: "piecewise",
      boundaries: boundaries.map((boundary) => boundary + 1),
      factors: [...values],
      warmupSteps,
    },
    said: { factors: "values" },
  });
}

/**
 * From 0 evenly up to `learningRate` over `warmupSteps`; then it stays there.
 *
 * @throws {RangeError} a number out of its range
 * @example adam({ learningRate: linearWarmup({ learningRate: 0.001, warmupSteps: 500 }) })
 */
export function linearWarmup({ learningRate, warmupSteps }: LinearWarmupArgs): LearningRateSchedule {
  return checked("linearWarmup", {
    initialLearningRate: learningRate,
    schedule: { kind: "warmup", warmupSteps },
    said: {},
  });
}

/** @throws {RangeError} in the author's words: `said` names what the spec calls otherwise */
function checked(
  builder: string,
  { said, ...built }: LearningRateSchedule & { said: Readonly<Record<string, string>> },
): LearningRateSchedule {
  const parsed = scheduleSchema.safeParse(built.schedule);
  if (parsed.success) return built;
  const issue = parsed.error.issues[0]!;
  const [key, ...rest] = issue.path.map(String);
  throw new RangeError(`${builder}(): ${[said[key!] ?? key, ...rest].join(".")}: ${issue.message}`);
}
