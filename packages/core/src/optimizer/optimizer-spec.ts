/**
 * Optimizers as data: what an author writes, what travels in a job manifest, what a PS is opened with.
 * The arithmetic is in `optimizer.ts`; one implementation serves dense weights on workers and rows on the PS.
 */
import { z } from "zod";

const rate = z.number().finite().nonnegative();
const share = z.number().min(0).lt(1);

export const optimizerSpecSchema = z.discriminatedUnion("kind", [
  /** Keeps values as they are set: no update. For reserved and read-only tables. */
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({ kind: z.literal("sgd"), learningRate: rate }),
  z.strictObject({ kind: z.literal("momentum"), learningRate: rate, momentum: share, nesterov: z.boolean() }),
  z.strictObject({ kind: z.literal("adagrad"), learningRate: rate, initialAccumulator: rate, epsilon: rate }),
  z.strictObject({ kind: z.literal("rowwise-adagrad"), learningRate: rate, initialAccumulator: rate, epsilon: rate }),
  z.strictObject({ kind: z.literal("adam"), learningRate: rate, beta1: share, beta2: share, epsilon: rate }),
  z.strictObject({ kind: z.literal("ftrl"), learningRate: rate, beta: rate, l1: rate, l2: rate }),
]);

export type OptimizerSpec = z.infer<typeof optimizerSpecSchema>;
export type OptimizerKind = OptimizerSpec["kind"];
