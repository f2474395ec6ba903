/** Bulk-synchronous: a step closes when every slot is in, and the next starts from its committed state. */
import type { Consistency, ConsistencySpec } from "./mode.ts";

/**
 * Bulk-synchronous training, the default: a step begins when the one before is applied everywhere, so the same plan
 * gives bit-identical results.
 *
 * @see Valiant, CACM 1990
 */
export function bsp(): ConsistencySpec {
  return { mode: "bsp" };
}

export const bspMode: Consistency = {
  dense: "all-reduce",
  mayPull: ({ wanted, committed }) => committed >= wanted - 1,
  closesStep: ({ slotsIn, slots }) => slotsIn === slots,
  onLate: () => "drop",
};
