/** What comes of a seed: what it went through, and what went wrong. */
import type { FaultCounts } from "./fault-kinds.ts";
import type { VolunteerCounts } from "./simulated-volunteers.ts";

/** Who found a fault. */
export const CHECKERS = [
  "training",
  "steps",
  "same bits",
  "batches",
  "staleness",
  "pushes",
  "reads",
  "own rows",
  "replicas",
  "volunteers",
  "liveness",
  "errors",
] as const;
export type Checker = (typeof CHECKERS)[number];

export interface Fault {
  checker: Checker;
  message: string;
}

/** What a seed went through. */
export interface SeedCounts extends FaultCounts, VolunteerCounts {
  terms: number;
  commits: number;
  /** Steps that were committed under a later term than the one before. */
  repeats: number;
  /** Evaluations of the held-out rows before the end of training. */
  validations: number;
  /** Jobs whose training ended before their last step. */
  earlyEnds: number;
  /** Batches that the coordinator gave out, and that were trained. */
  batches: number;
  /** Of these, those that were given more than once, and those that a step was closed without. */
  repeatedBatches: number;
  droppedBatches: number;
  /** Of dense weights. */
  rounds: number;
  failovers: number;
  moves: number;
  reorders: number;
  copies: number;
  pushes: number;
  directPushes: number;
  reads: number;
  unknownKeys: number;
  spilled: number;
}

export interface SeedResult extends SeedCounts {
  seed: number;
  /** What went wrong, if anything. */
  faults: Fault[];
  trace: string[];
}
