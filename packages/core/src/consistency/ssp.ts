/** Bounded delay: gradients are applied as they come, and no worker runs far ahead of the slowest. */
import { atOnce } from "./asp.ts";
import type { Consistency, ConsistencySpec } from "./mode.ts";

/**
 * Stale synchronous training, or bounded delay: no worker is more than `stalenessSteps` steps of its own ahead of the
 * slowest, so what it pulls lacks at most so many of each other worker's newest steps. 0 lets all begin a step
 * together.
 *
 * @see Ho et al., "More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server", NIPS 2013
 */
export function ssp({ stalenessSteps }: { stalenessSteps: number }): ConsistencySpec {
  return { mode: "ssp", stalenessSteps };
}

export function sspMode(stalenessSteps: number): Consistency {
  return {
    ...atOnce,
    keepsRowsFor: stalenessSteps,
    mayBegin: ({ begun, slowest }) => begun - slowest <= stalenessSteps,
  };
}
