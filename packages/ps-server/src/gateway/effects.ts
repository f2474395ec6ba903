/** What a call of the gateway asks its host to do, gathered in order. */
import type { ClusterErrorCode } from "@volary/core/errors";
import type { SignedInvitation } from "@volary/core/job";
import type { Control, Hello, JobPhase, Message } from "@volary/core/wire";

/** A volunteer's connection; numbers are not used again. */
export type LeafId = number;

/** A request over HTTP; numbers are not used again. */
export type RequestId = number;

/** With what somebody asks over HTTP to be let in. */
export interface Entrance {
  by: "token" | "session";
  secret: string;
  /** With a token: a secret of whoever asks, with which the same session is had again where its answer was lost. */
  claim?: string | undefined;
}

/** What lets a volunteer in: it may connect with `session` for as long as that is open. */
export interface Entry {
  session: string;
  volunteer: number;
  expiresInMs: number;
  phase: JobPhase;
  invitation: SignedInvitation;
}

export interface Refusal {
  code: ClusterErrorCode;
  message: string;
}

export type GatewayEffect =
  | { kind: "tellCoordinator"; control: Control }
  | { kind: "answer"; request: RequestId; answer: Entry | Refusal }
  /** The outcome is told by `reducerOpened` or `reducerFailed`. */
  | { kind: "dialReducer"; leaf: LeafId; address: string; hello: Hello }
  | { kind: "tellReducer"; leaf: LeafId; message: Message }
  | { kind: "closeReducer"; leaf: LeafId; reason: string }
  | { kind: "tellLeaf"; leaf: LeafId; message: Message }
  | { kind: "closeLeaf"; leaf: LeafId; reason: string };
