/**
 * What a consistency mode is: one pure object. Everything that differs between modes is asked of it; no other file
 * names a mode.
 */
import { z } from "zod";
import { LIMITS } from "../limits.ts";

const valueDtype = z.enum(["float32", "bfloat16", "int8"]);

export const outerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("average") }),
  z.strictObject({
    kind: z.literal("nesterov"),
    learningRate: z.number().finite().positive(),
    momentum: z.number().min(0).lt(1),
  }),
]);
/** What becomes of the dense weights that workers bring to a round, as `average()` and `nesterov()` make it. */
export type OuterSpec = z.infer<typeof outerSchema>;

const bspSpecSchema = z
  .strictObject({
    mode: z.literal("bsp"),
    /** A step closes once this share of the workers' gradients is in; all of them without it. */
    quorum: z.number().gt(0).max(1).optional(),
    /** Are slices as long as workers are fast? */
    balance: z.boolean().optional(),
  })
  .refine(({ quorum, balance }) => quorum === undefined || balance !== true, {
    error: "give quorum or balance: a step that does not wait for the slow has nothing to balance",
  });
const sspSpecSchema = z.strictObject({
  mode: z.literal("ssp"),
  stalenessSteps: z.number().int().min(0).max(LIMITS.stalenessStepsMax),
});
const aspSpecSchema = z.strictObject({ mode: z.literal("asp") });
const localSgdSpecSchema = z.strictObject({
  mode: z.literal("localSgd"),
  /** Local steps of a worker between two rounds, on average, or the time between them. */
  every: z.union([z.number().int().min(1), z.strictObject({ seconds: z.number().finite().positive() })], {
    error: "give a whole number of steps, from 1 on, or { seconds: 30 }",
  }),
  outer: outerSchema,
  /** In which form what a round averages travels; float32 without it. */
  compression: valueDtype.optional(),
});

// Interfaces, so that the compiler names them where it complains of an author's program.
interface BspSpec extends z.infer<typeof bspSpecSchema> {}
interface SspSpec extends z.infer<typeof sspSpecSchema> {}
interface AspSpec extends z.infer<typeof aspSpecSchema> {}
interface LocalSgdSpec extends z.infer<typeof localSgdSpecSchema> {}
/** A consistency mode, as `bsp()` and the others make it. Plain data: it travels in a job. */
export type ConsistencySpec = BspSpec | SspSpec | AspSpec | LocalSgdSpec;

export const consistencySpecSchema = z.discriminatedUnion("mode", [
  bspSpecSchema,
  sspSpecSchema,
  aspSpecSchema,
  localSgdSpecSchema,
]);

/** When workers average their dense weights. */
export interface DenseRoundsSpec {
  readonly every: number | { readonly seconds: number };
  readonly outer: OuterSpec;
  readonly compression: z.infer<typeof valueDtype>;
}

export interface Consistency {
  /**
   * Who says what is trained next. "steps": a plan that every worker knows, whose steps all train together. "batches":
   * the coordinator, which gives each worker one batch after another.
   */
  readonly work: "steps" | "batches";
  /**
   * Where dense variables come together: their gradients by all-reduce; their gradients on the PS, which hold them as
   * rows of the reserved table; or, round by round, the weights that each worker trains for itself.
   */
  readonly dense: "all-reduce" | "ps" | "rounds";
  /** When the PS apply gradients: as the sum of a step, at its commit, or as they come. */
  readonly gradients: "at-commit" | "at-once";
  /** What `dense: "rounds"` goes by. */
  readonly rounds?: DenseRoundsSpec;
  /** Do the slices of a step become as long as workers are fast? */
  readonly isBalanced: boolean;
  /**
   * How many batches a worker is given at a time, where the coordinator gives them: with three, one is pulled, one computed
   * and one pushed.
   */
  readonly batchesAtATime: number;
  /** For how many of its steps a worker may use a row again that it pulled; 0 where a pull brings the newest. */
  readonly keepsRowsFor: number;
  /** On the PS: may a pull that wants the state after `wanted - 1` be answered when `committed` steps are? */
  mayPull(at: { wanted: number; committed: number }): boolean;
  /** On the PS: do the slots that are in close the step? Where they do not, its leader does. */
  closesStep(at: { slotsIn: number; slots: number }): boolean;
  /** At the leader of a step that closes by its word: do the slots that arrived of those it waits for suffice? */
  mayClose(at: { arrived: number; expected: number; members: number }): boolean;
  /**
   * At the coordinator: may a worker that began `begun` batches begin the next, when the slowest has finished
   * `slowest`?
   */
  mayBegin(at: { begun: number; slowest: number }): boolean;
  /**
   * What becomes of a batch that comes later than others do: it is waited for, until its worker is left out for a while;
   * it is given to another worker as well, and the first to push it counts; or it is dropped, and its samples are trained
   * in a later step.
   */
  readonly onLate: "wait" | "repeat" | "drop";
}
