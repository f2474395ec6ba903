/** Bulk-synchronous: a step closes when every slot is in, and the next starts from its committed state. */
import type { Consistency, ConsistencySpec } from "./mode.ts";

/** How strictly `bsp()` waits, and for what. */
export interface BspOptions {
  /**
   * A step ends when this share of the workers has sent its gradients, above 0 up to 1: what is later is dropped
   * whole, and its samples are trained in a later step. All are waited for without it.
   */
  quorum?: number;
  /**
   * Gives faster workers more samples of a step, as measured, so that all need as long; slices are equal without it. Each
   * sample of a step is trained once all the same, but the last bits of a result depend on what was measured.
   */
  balance?: boolean;
}

/**
 * Bulk-synchronous training, the default: a step begins when the one before is applied everywhere, so the same plan
 * gives bit-identical results.
 *
 * @see Valiant, CACM 1990; for a quorum Chen et al., "Revisiting Distributed Synchronous SGD", arXiv:1604.00981
 */
export function bsp({ quorum, balance }: BspOptions = {}): ConsistencySpec {
  return {
    mode: "bsp",
    ...(quorum === undefined ? {} : { quorum }),
    ...(balance === undefined ? {} : { balance }),
  };
}

export const bspMode: Consistency = {
  work: "steps",
  dense: "all-reduce",
  gradients: "at-commit",
  isBalanced: false,
  batchesAtATime: 1,
  keepsRowsFor: 0,
  mayPull: ({ wanted, committed }) => committed >= wanted - 1,
  closesStep: ({ slotsIn, slots }) => slotsIn === slots,
  mayClose: ({ arrived, expected }) => arrived === expected,
  mayBegin: () => true,
  onLate: "wait",
};

export const balancedMode: Consistency = { ...bspMode, isBalanced: true };

/** Bulk-synchronous steps that the coordinator closes once `quorum` of the members' slots are in: of all, it waits for all. */
export function quorumMode(quorum: number): Consistency {
  // 0.55 · 20 is a little more than 11.
  const slotsOf = (members: number) => Math.max(1, Math.ceil(quorum * members - 1e-9));
  return {
    ...bspMode,
    work: "batches",
    dense: "ps",
    closesStep: () => false,
    mayClose: ({ arrived, expected, members }) => arrived >= Math.min(expected, slotsOf(members)),
    onLate: quorum < 1 ? "drop" : "wait",
  };
}
