/**
 * A data channel of WebRTC between two members of a group, as far as the group needs to know it: chunks go in at one end
 * and come out at the other, in order. Adapters: a tab's own RTCPeerConnection, and `node-datachannel` in Node. What two
 * ends must tell each other to connect goes over their leaf links, as signals.
 *
 * What happens when a peer dies here: the channel closes, sooner or later, and whoever waits for it hears of it.
 */
import { z } from "zod";
import { ProtocolError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";

/** Opens channels on one platform. */
export interface ChannelDialer {
  /**
   * Begins to open a channel; one end offers, the other does not. Nothing can be sent before `onOpen`.
   *
   * @throws {Error} no channel can be opened here
   */
  open(o: ChannelOptions): Channel;
}

export interface ChannelOptions {
  /** Does this end make the offer? */
  end: "offers" | "answers";
  /** Without any no one else is asked for anything: then two ends connect where each can reach an address of the other. */
  iceServers: readonly IceServer[];
  /** To the other end, in order. */
  signal: (signal: ChannelSignal) => void;
  events: ChannelEvents;
}

export interface ChannelEvents {
  onOpen(): void;
  /** The bytes are the callee's. */
  onChunk(bytes: Uint8Array): void;
  /** No more than `LIMITS.groupBufferedBytesLow` bytes are unsent, after there were more. */
  onLow(): void;
  /** Called once, unless this end closes. `reason` is for people. */
  onClose(reason: string): void;
}

export interface Channel {
  /** Bytes that were given to {@link send} and have not left. */
  readonly bufferedBytes: number;
  /** @param bytes at most `LIMITS.groupChunkBytes`; not touched by the caller any more */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** A signal of the other end. One that makes no sense closes the channel. */
  take(signal: ChannelSignal): void;
  close(): void;
}

const u32 = z.number().int().min(0).max(0xffff_ffff);

const iceServerSchema = z.strictObject({
  /** stun:host:port, turn:host:port or turns:host:port */
  url: z
    .string()
    .max(500)
    .regex(/^(stun|turn|turns):/),
  username: z.string().max(500).optional(),
  credential: z.string().max(500).optional(),
});
/** A STUN or TURN server, as browsers name them. */
export type IceServer = z.infer<typeof iceServerSchema>;

const channelSignalSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("description"), type: z.enum(["offer", "answer"]), sdp: z.string().max(20_000) }),
  z.strictObject({ kind: z.literal("candidate"), candidate: z.string().max(2_000), mid: z.string().max(100) }),
  /** This end has no channel, or has it no more. */
  z.strictObject({ kind: z.literal("none") }),
]);
/** What two ends tell each other to connect. */
export type ChannelSignal = z.infer<typeof channelSignalSchema>;

const groupSignalSchema = z.discriminatedUnion("kind", [
  /** To the reducer: its owner allows that others learn the address. */
  z.strictObject({ kind: z.literal("join") }),
  /** The answer: which servers help members to find a way to each other. */
  z.strictObject({ kind: z.literal("welcome"), iceServers: z.array(iceServerSchema).max(LIMITS.iceServersMax) }),
  /** It does not any more; the reducer passes this on, and says it for a volunteer that is gone. */
  z.strictObject({ kind: z.literal("leave") }),
  /** Of the attempt of this number to open a channel; the end that offers counts them. */
  z.strictObject({ kind: z.literal("channel"), attempt: u32, signal: channelSignalSchema }),
  /** To the reducer: messages of this round were lost. */
  z.strictObject({ kind: z.literal("broken"), round: u32 }),
]);
/** The data of a message "leaf-signal". */
export type GroupSignal = z.infer<typeof groupSignalSchema>;

export function encodeSignal(signal: GroupSignal): string {
  return JSON.stringify(signal);
}

/** @throws {ProtocolError} naming what is wrong */
export function decodeSignal(data: string): GroupSignal {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new ProtocolError(`a group's signal is not JSON: ${data.slice(0, 80)}`, { cause });
  }
  const parsed = groupSignalSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ProtocolError(`a group's signal: ${path.join(".")} ${message}`);
}
