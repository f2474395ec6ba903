/** What may go wrong, and how often: what `faults.ts` does, and what is counted of it. */
import type { SeededRandom } from "@volary/core/testing";

export type FaultKind =
  | "crash worker"
  | "join worker"
  | "cut"
  | "hold"
  | "pause"
  | "crash PS node"
  | "join PS node"
  | "drain"
  | "coordinator"
  | "split"
  | "crash client";

const MIX: readonly (readonly [number, FaultKind])[] = [
  [8, "crash worker"],
  [4, "join worker"],
  [18, "cut"],
  [14, "hold"],
  [14, "pause"],
  [22, "crash PS node"],
  [8, "join PS node"],
  [6, "drain"],
  [10, "coordinator"],
  [30, "split"],
  [4, "crash client"],
];

/** By its weight. */
export function drawnKind(random: SeededRandom): FaultKind {
  let at = random.below(MIX.reduce((sum, [weight]) => sum + weight, 0));
  return MIX.find(([weight]) => (at -= weight) < 0)![1];
}

export interface FaultCounts {
  crashes: number;
  cuts: number;
  holds: number;
  pauses: number;
  joins: number;
  drains: number;
  /** Of the coordinator. */
  restarts: number;
  /** Of the network, in two. */
  splits: number;
}

export const NO_FAULTS: FaultCounts = {
  crashes: 0,
  cuts: 0,
  holds: 0,
  pauses: 0,
  joins: 0,
  drains: 0,
  restarts: 0,
  splits: 0,
};
