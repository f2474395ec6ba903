/** Asynchronous: gradients are applied as they come, and nobody waits. */
import type { Consistency, ConsistencySpec } from "./mode.ts";

/**
 * Asynchronous training at full speed: each worker pulls, computes and pushes without regard to the others.
 *
 * @see Dean et al., "Large Scale Distributed Deep Networks", NIPS 2012
 */
export function asp(): ConsistencySpec {
  return { mode: "asp" };
}

/** What modes have in common that apply gradients as they come. */
export const atOnce: Consistency = {
  work: "batches",
  dense: "ps",
  gradients: "at-once",
  isBalanced: false,
  batchesAtATime: 3,
  keepsRowsFor: Infinity,
  mayPull: () => true,
  closesStep: () => false,
  mayClose: () => false,
  mayBegin: () => true,
  onLate: "repeat",
};

export const aspMode: Consistency = atOnce;
