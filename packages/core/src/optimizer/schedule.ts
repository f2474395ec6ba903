/**
 * Learning rates that change with the step, as data: Keras's decays after a linear warm-up. A schedule gives a
 * multiple of the optimizer's `learningRate`. Every replica computes it for itself, so its arithmetic is portable.
 *
 * @see https://keras.io/api/optimizers/learning_rate_schedules/
 */
import { cosOfPi, power } from "../portable-math.ts";
import type { OptimizerSpec, ScheduleSpec } from "./optimizer-spec.ts";

/**
 * The float32 learning rate of a step, from 1; 0 for optimizers that have none. Without a schedule it is always the
 * spec's own.
 */
export function learningRateAt(spec: OptimizerSpec, step: number): number {
  if (!("learningRate" in spec)) return 0;
  if (!("schedule" in spec) || spec.schedule === undefined) return Math.fround(spec.learningRate);
  return Math.fround(spec.learningRate * rateFactor(spec.schedule, Math.max(0, step - 1)));
}

/**
 * The multiple of the learning rate after `t` steps: t / warmupSteps of the first decayed rate during the warm-up, so
 * step 0 of a warm-up changes nothing; after it the decay, which counts its steps from there.
 */
function rateFactor(schedule: ScheduleSpec, t: number): number {
  const { warmupSteps } = schedule;
  if (t < warmupSteps) return (t / warmupSteps) * decayed(schedule, 0);
  return decayed(schedule, t - warmupSteps);
}

function decayed(schedule: ScheduleSpec, t: number): number {
  switch (schedule.kind) {
    case "warmup":
      return 1;
    case "exponential": {
      const decays = t / schedule.steps;
      return power(schedule.rate, schedule.staircase ? Math.floor(decays) : decays);
    }
    case "cosine": {
      const { steps, floor } = schedule;
      return (1 - floor) * 0.5 * (1 + cosOfPi(Math.min(t, steps) / steps)) + floor;
    }
    case "piecewise": {
      const { boundaries, factors } = schedule;
      const next = boundaries.findIndex((boundary) => t < boundary);
      return factors[next === -1 ? boundaries.length : next]!;
    }
    default:
      return schedule satisfies never;
  }
}
