/** What a PS node is told of, and what it asks its host to do. */
import type { Control, Frame } from "@volary/core/wire";

export type LinkId = number;

/** The link to the coordinator. */
export const COORDINATOR: LinkId = 0;

export type PsEffect =
  | { kind: "control"; link: LinkId; control: Control }
  /** `onSent` must be called, once, when the frame's bytes have gone out or never will. */
  | { kind: "frame"; link: LinkId; frame: Frame; onSent?: () => void }
  /** To another PS node, behind this one in a chain. Lost where the link to it is down. */
  | { kind: "peer"; node: number; frame: Frame };

/** Where effects go, each as soon as it is known: the first part of a reply travels while the next one is read. */
export interface PsEffects {
  push(effect: PsEffect): unknown;
}

/** What replication counts. */
export interface ChainCounters {
  chainRecords: number;
  chainBytes: number;
  copies: number;
  copyBytes: number;
  /** Records of an older generation than this node knows, and records that came before one that is missing. */
  refusedRecords: number;
}

/** What the node counts; nothing is dropped without a count. */
export interface PsCounters extends ChainCounters {
  pulls: number;
  pushes: number;
  directPushes: number;
  rowsPulled: number;
  rowsPushed: number;
  commits: number;
  staleSegments: number;
  /** Pushes of a step that is closed, or of an older attempt, and slots that their step's leader left out. */
  latePushes: number;
  repeatedPushes: number;
  abandonedPulls: number;
  refusedSteps: number;
  /** Frames that named keys this node does not know. */
  unknownKeys: number;
}

export function newCounters(): PsCounters {
  return {
    pulls: 0,
    pushes: 0,
    directPushes: 0,
    rowsPulled: 0,
    rowsPushed: 0,
    commits: 0,
    staleSegments: 0,
    latePushes: 0,
    repeatedPushes: 0,
    abandonedPulls: 0,
    refusedSteps: 0,
    unknownKeys: 0,
    chainRecords: 0,
    chainBytes: 0,
    copies: 0,
    copyBytes: 0,
    refusedRecords: 0,
  };
}

/** Bounds that simulations and tests set lower than `limits.ts` does, to come upon them. */
export interface PsBounds {
  /** Bytes of values in one part of a reply. */
  replyPartBytes?: number;
  /** Key lists that are remembered for each link. */
  keyListsMax?: number;
  /** Bytes of one part of a copy for a new replica. */
  copyPartBytes?: number;
  /** Answers of a job that wait for other replicas, and bytes of them and of what they were asked. */
  waitingAnswersMax?: number;
  waitingBytesMax?: number;
}
