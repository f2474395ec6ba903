/** A volunteer's connection to a gateway, or an observer's: who it is, whom it talks to, and what it may say in its state. */
import { LIMITS } from "@volary/core/limits";
import type { ControlOf, Message } from "@volary/core/wire";
import type { LeafId, Refusal } from "./effects.ts";
import { LeafTraffic, nameOf } from "./leaf-traffic.ts";

export type Reducer = ControlOf<"session">["reducers"][number];

/** A volunteer's connection. */
export interface Leaf {
  readonly id: LeafId;
  readonly name: string;
  readonly session: string;
  readonly traffic: LeafTraffic;
  /** Once its session is known. */
  entry: { volunteer: number; job: number; endsAt: number; isTrusted: boolean; isObserver: boolean } | undefined;
  /** That it is connected to, or that is being dialed. */
  reducer: Reducer | undefined;
  isJoined: boolean;
  /** Those that were not tried, the best one last. */
  untried: Reducer[];
  /** What waits for the reducer. */
  early: Message[];
  heardAt: number;
  /** When it was asked last whether it is there. */
  askedAt: number;
  isToldStory: boolean;
}

/** One whose session is not known yet. */
export function newLeaf(
  { leaf: id, name, session }: { leaf: LeafId; name: string; session: string },
  now: number,
): Leaf {
  return {
    id,
    name,
    session,
    traffic: new LeafTraffic(now),
    entry: undefined,
    reducer: undefined,
    isJoined: false,
    untried: [],
    early: [],
    heardAt: now,
    askedAt: now,
    isToldStory: false,
  };
}

/** Reducers that have room, the one with the fewest volunteers last. @param leaves those of this gateway */
export function withRoom(reducers: readonly Reducer[], leaves: Iterable<Leaf>): Reducer[] {
  const own = new Map<number, number>();
  for (const { reducer } of leaves) if (reducer) own.set(reducer.worker, (own.get(reducer.worker) ?? 0) + 1);
  // What a reducer was said to have may be older than those of this gateway.
  const loadOf = (one: Reducer) => Math.max(one.leaves, own.get(one.worker) ?? 0);
  return reducers.filter((one) => loadOf(one) < one.leavesMax).sort((a, b) => loadOf(b) - loadOf(a));
}

/** An observer only watches. */
export function roleFault({ entry }: Leaf, message: Message): Refusal | undefined {
  if (!entry?.isObserver || isHeartbeat(message)) return undefined;
  const remedy = "ask whoever sent the link for a volunteer's";
  return { code: "TOKEN_ROLE", message: `an observer may watch, not send a ${nameOf(message)}; ${remedy}` };
}

/** Before its reducer is there a volunteer has no task, and little to say. */
export function earlyFault({ isJoined, early }: Leaf, message: Message): Refusal | undefined {
  if (isJoined) return undefined;
  if ("control" in message && early.length < LIMITS.gatewayEarlyMessagesMax) return undefined;
  return { code: "PROTOCOL_VIOLATION", message: `a ${nameOf(message)} came before there was a task` };
}

/** Only who is trusted takes part in a group: what its members bring is not bounded. */
export function groupFault({ entry }: Leaf, message: Message): Refusal | undefined {
  if (!entry || entry.isTrusted) return undefined;
  const isOfGroup = "control" in message ? message.control.type === "leaf-signal" : message.frame.opcode === "reduce";
  if (!isOfGroup) return undefined;
  return { code: "PROTOCOL_VIOLATION", message: `a ${nameOf(message)} came from a volunteer who is not trusted` };
}

/** @param text of an invitation, from the coordinator */
export function invitedAs(text: string): { isTrusted: boolean; isObserver: boolean } {
  const { trusted, role } = JSON.parse(text) as { trusted?: unknown; role?: unknown };
  return { isTrusted: trusted === true, isObserver: role === "observer" };
}

export function isHeartbeat(message: Message): boolean {
  return "control" in message && message.control.type === "heartbeat";
}

/** No volunteer speaks for another one. */
export function signed(message: Message, { entry }: Leaf): Message {
  if (!("control" in message) || message.control.type !== "leaf-signal") return message;
  return { control: { ...message.control, from: entry!.volunteer } };
}
