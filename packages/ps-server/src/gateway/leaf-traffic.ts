/** What may pass between a volunteer and its reducer, and how much of it. */
import type { ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { bytesOfFrame, encodeControl, type ControlType, type Message, type Opcode } from "@volary/core/wire";
import { TokenBucket } from "./token-buckets.ts";

interface Allowed {
  readonly controls: ReadonlySet<ControlType>;
  readonly frames: ReadonlySet<Opcode>;
}

/** "reduce" is of members of a group that cannot reach each other: their reducer passes it on. */
const FROM_LEAF: Allowed = {
  controls: new Set<ControlType>(["leaf-join", "leaf-ready", "leaf-pause", "leaf-update", "leaf-signal", "heartbeat"]),
  frames: new Set<Opcode>(["leafRowGradients", "leafDenseGradients", "reduce"]),
};
const FROM_REDUCER: Allowed = {
  controls: new Set<ControlType>([
    "leaf-task",
    "leaf-accepted",
    "leaf-refused",
    "leaf-end",
    "leaf-group",
    "leaf-signal",
    "heartbeat",
  ]),
  frames: new Set<Opcode>(["leafDense", "leafRows", "leafRowNumbers", "leafInputs", "reduce"]),
};

/** Seconds of its rate that a volunteer may save up. */
const BURST_S = 2;

/** May a reducer say this to a volunteer? */
export function isFromReducer(message: Message): boolean {
  return isAllowed(message, FROM_REDUCER);
}

/** What a message is called, for people. */
export function nameOf(message: Message): string {
  return "control" in message ? `"${message.control.type}"` : `"${message.frame.opcode}" frame`;
}

/** Bytes of a message as it travels; of text, its characters. */
export function bytesOf(message: Message): number {
  return "control" in message ? encodeControl(message.control).length : bytesOfFrame(message.frame);
}

/** What one volunteer sends. */
export class LeafTraffic {
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;

  constructor(now: number) {
    const { gatewayMessagesPerSecond: messages, gatewayBytesPerSecond: bytes } = LIMITS;
    this.#messages = new TokenBucket({ perSecond: messages, burst: BURST_S * messages }, now);
    this.#bytes = new TokenBucket({ perSecond: bytes, burst: BURST_S * bytes }, now);
  }

  /** Why a message may not pass, if it may not. @param bytes of it */
  fault(message: Message, bytes: number, now: number): { code: ClusterErrorCode; message: string } | undefined {
    if (!isAllowed(message, FROM_LEAF)) {
      return { code: "PROTOCOL_VIOLATION", message: `a volunteer may not send a ${nameOf(message)}` };
    }
    if (!this.#messages.take(1, now)) {
      const rate = `${LIMITS.gatewayMessagesPerSecond} messages a second`;
      return { code: "TOO_MANY", message: `over ${rate}; wait a moment, then connect again` };
    }
    if (!this.#bytes.take(bytes, now)) {
      const rate = `${LIMITS.gatewayBytesPerSecond} bytes a second`;
      return { code: "TOO_MANY", message: `over ${rate}; wait a moment, then connect again` };
    }
    return undefined;
  }
}

function isAllowed(message: Message, { controls, frames }: Allowed): boolean {
  return "control" in message ? controls.has(message.control.type) : frames.has(message.frame.opcode);
}
