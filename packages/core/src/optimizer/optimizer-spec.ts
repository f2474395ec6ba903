/**
 * Optimizers as data: what an author writes, what travels in a job manifest, what a PS is opened with.
 * The arithmetic is in `optimizer.ts`; one implementation serves dense weights on workers and rows on the PS.
 */
import { z } from "zod";
import { PLAIN_UPDATES } from "./plain-updates.ts";

const rate = z.number().finite().nonnegative();
const share = z.number().min(0).lt(1);
const steps = z.number().int().nonnegative();
const stepsFrom1 = z.number().int().min(1);

/**
 * The learning rate of step t (from 0) as a multiple of `learningRate`, after a linear warm-up over `warmupSteps`:
 * exponential rate^(t / steps) (`staircase`: of the whole part), cosine from 1 to `floor` over `steps`, or
 * factors[i] from boundaries[i − 1] on. The decays count t from the end of the warm-up.
 */
export const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("warmup"), warmupSteps: steps }),
  z.strictObject({
    kind: z.literal("exponential"),
    steps: stepsFrom1,
    rate,
    staircase: z.boolean(),
    warmupSteps: steps,
  }),
  z.strictObject({ kind: z.literal("cosine"), steps: stepsFrom1, floor: rate, warmupSteps: steps }),
  z.strictObject({
    kind: z.literal("piecewise"),
    boundaries: z.array(steps).max(1000),
    /** One more than there are boundaries. */
    factors: z.array(rate).max(1001),
    warmupSteps: steps,
  }),
]);
/** How a learning rate changes with the step, as `cosineDecay()` and its like make it. */
export type ScheduleSpec = Extract<z.infer<typeof scheduleSchema>, object>;
const schedule = scheduleSchema.optional();

export const optimizerSpecSchema = z.discriminatedUnion("kind", [
  /** Keeps values as they are set: no update. For reserved and read-only tables. */
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({ kind: z.literal("sgd"), schedule, learningRate: rate }),
  z.strictObject({ kind: z.literal("momentum"), schedule, learningRate: rate, momentum: share, nesterov: z.boolean() }),
  z.strictObject({ kind: z.literal("adagrad"), schedule, learningRate: rate, initialAccumulator: rate, epsilon: rate }),
  z.strictObject({
    kind: z.literal("rowwise-adagrad"),
    schedule,
    learningRate: rate,
    initialAccumulator: rate,
    epsilon: rate,
  }),
  z.strictObject({ kind: z.literal("adam"), schedule, learningRate: rate, beta1: share, beta2: share, epsilon: rate }),
  z.strictObject({
    kind: z.literal("adamw"),
    schedule,
    learningRate: rate,
    beta1: share,
    beta2: share,
    epsilon: rate,
    weightDecay: rate,
  }),
  /** No gradient descent: what the values pushed for a row do to it. */
  z.strictObject({ kind: z.enum(PLAIN_UPDATES) }),
  /** A server update of a plugin file, which every PS node has loaded from its operator's own copy. */
  z.strictObject({
    kind: z.literal("custom"),
    update: z.string().min(1).max(200),
    sha256: z.string().length(64),
    options: z.record(z.string(), z.number()),
  }),
  z.strictObject({ kind: z.literal("ftrl"), learningRate: rate, beta: rate, l1: rate, l2: rate }),
]);

// `Extract` leaves all of it, and lets editors and messages call it by its name.
/** An optimizer with every number written out, as `adam()` and its like make it. Plain data: it travels in a job. */
export type OptimizerSpec = Extract<z.infer<typeof optimizerSpecSchema>, object>;
/** Which optimizer a spec is of. */
export type OptimizerKind = OptimizerSpec["kind"];
