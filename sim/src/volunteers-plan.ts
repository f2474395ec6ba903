/** What a seed draws of volunteers: how many come and when, how fast and honest they are, and how their job is. */
import { consistencyOf } from "@volary/core/consistency";
import { seededRandom, type SeededRandom } from "@volary/core/testing";
import type { ReducerOptions } from "@volary/core/training";
import { PLAIN_LIES, SMOOTH_LIES, type Lie } from "./lies.ts";
import type { Training } from "./seed-plan.ts";
import { TRAIN_ROWS } from "./toy-job.ts";

export interface VolunteersPlan {
  /** How each worker deals with them. */
  reducer: Pick<ReducerOptions, "leavesMax" | "combine" | "audit">;
  volunteers: readonly VolunteerPlan[];
  /** Is every lie noticed, and nothing shortened? Then gradients add up to what they are without volunteers. */
  isExact: boolean;
  faults: { count: number; everyMaxMs: number };
}

export interface VolunteerPlan {
  /** It comes so long after its job was submitted. */
  afterMs: number;
  /** It computes so many times as long as a worker. */
  slowness: number;
  /** In such a share of its tasks it is busy with something else for a while. */
  busyShare: number;
  /** What it sends in half of its tasks. */
  lie: Lie | undefined;
}

const VOLUNTEERS_SALT = 0x1eaf;
/** Steps as long as these have room for a volunteer's least share beside a worker's own. */
const SAMPLES_PER_WORKER = [24, 48, 72] as const;

/**
 * A third of the jobs have volunteers, none of those that are compared with an undisturbed run. Most of them are exact:
 * they count, so that who computed what makes no difference. In others liars are only kept within bounds.
 */
export function withVolunteers(training: Training, seed: number): Training {
  const random = seededRandom((seed ^ VOLUNTEERS_SALT) >>> 0);
  if (training.isCompared || random.below(5) > 1) return training;
  const { consistency = { mode: "bsp" } } = training.fit;
  const isAtOnce = consistencyOf(consistency).gradients === "at-once";
  const isExact = !isAtOnce || random.below(4) > 0;
  const workers = Math.min(3, training.workers);
  const batchSize = Math.min(TRAIN_ROWS, workers * SAMPLES_PER_WORKER[random.below(3)]!);
  const epochs = Math.ceil((20 + random.below(25)) / Math.ceil(TRAIN_ROWS / batchSize));
  const audit = [0, 0.05, 1][random.below(3)]!;
  return {
    ...training,
    workers,
    fit: { ...training.fit, batchSize, epochs },
    care: isExact && isAtOnce ? {} : training.care,
    isCounting: isExact,
    computeMaxMs: [20, 60, 120][random.below(3)]!,
    slowness: Math.min(4, training.slowness),
    volunteers: {
      reducer: {
        leavesMax: [1, 2, 8, 8][random.below(4)]!,
        combine: isExact ? "mean" : random.below(3) > 0 ? "centered-clip" : "trimmed-mean",
        audit,
      },
      volunteers: volunteersOf(random, isExact && audit < 1 ? PLAIN_LIES : [...PLAIN_LIES, ...SMOOTH_LIES]),
      isExact,
      faults: { count: random.below(10), everyMaxMs: [60, 200, 600][random.below(3)]! },
    },
  };
}

function volunteersOf(random: SeededRandom, lies: readonly Lie[]): VolunteerPlan[] {
  return Array.from({ length: 1 + random.below(4) }, () => ({
    afterMs: random.below(3) > 0 ? 0 : random.between({ min: 0, max: 1000 }),
    slowness: [0.3, 1, 3, 10][random.below(4)]!,
    busyShare: [0, 0, 0.1, 0.3][random.below(4)]!,
    lie: random.below(4) === 0 ? lies[random.below(lies.length)]! : undefined,
  }));
}
