/**
 * A volunteer's part: takes tasks from its reducer through a gateway, computes them one at a time, and sends gradients
 * back. It holds nothing that anyone else needs, so it may stop between any two lines.
 *
 * What happens when a peer dies here: a lost gateway or reducer ends the session, and its owner opens another one.
 */
import type { Clock, JobStatus, Link } from "../../wire/index.ts";
import type { JobManifest } from "../../job/index.ts";
import type { GradientModel } from "../job/gradient-model.ts";

/** Why a volunteer takes no task for now. */
export type LeafPause = "asked" | "hidden" | "battery" | "data" | "limits";

export interface LeafSessionOptions {
  /** To a gateway, which has let the session in. */
  link: Link;
  manifest: JobManifest;
  /** Closed by its owner. */
  model: GradientModel;
  clock: Clock;
  /** For people: what computes here. */
  device: string;
  /** What one real step of so many samples took. */
  probe: { samples: number; computeMs: number };
  /** Of the time, in (0, 1]; asked before each task: after one that took t ms it rests for t / share − t. */
  share: () => number;
  events?: Partial<LeafEvents>;
}

export interface LeafEvents {
  /** A task begins. */
  onTask(task: { task: number; step: number; samples: number }): void;
  /** An update was sent. */
  onComputed(task: { task: number; samples: number; computeMs: number; loss: number }): void;
  /** It counts: it is in the gradients of `step`, with so many of its samples. */
  onAccepted(task: { task: number; step: number; samples: number; stepSamples: number }): void;
  onRefused(task: { task: number; code: string; message: string }): void;
  /** How far the job is, about once a second. */
  onStatus(status: JobStatus): void;
}

/** Why a session has ended. */
export interface LeafEnd {
  code: string;
  reason: string;
  /** May another session be opened at once, with the same secret? */
  mayReturn: boolean;
}

export interface LeafSession {
  readonly closed: Promise<LeafEnd>;
  /** No task after the one under way, until {@link resume}. */
  pause(reason: LeafPause): void;
  resume(): void;
  /** Ends at once: what is being computed is thrown away, and nothing is sent any more. */
  stop(): void;
}
