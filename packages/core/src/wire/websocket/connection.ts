/**
 * A WebSocket over any stream of bytes, with the face of the browser's: RFC 6455 §7 says how it opens and closes.
 *
 * What happens when the peer dies here: the stream ends without a close frame, and `onclose` says 1006. A peer that
 * does not answer a close within `LIMITS.closeTimeoutMs` is cut off.
 */
import { LIMITS } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import type { Socket } from "../socket-link.ts";
import type { BufferPool } from "../buffer-pool.ts";
import { CLOSE_CODES, WebSocketError } from "./close-code.ts";
import { CONTROL_BYTES_MAX, OPCODE } from "./opcode.ts";
import { Receiver } from "./receiver.ts";
import { Sender, type ByteStream } from "./sender.ts";

export interface ConnectionOptions {
  clock: Clock;
  /** The stream is not there yet: ends the attempt to open one. */
  abort?: () => void;
  /**
   * Where binary messages are written. With it, a message is valid until `onmessage` returns; by default it is the
   * receiver's to keep.
   */
  buffers?: BufferPool | undefined;
  /** A message that is longer is refused before it is read, and closes the connection; `LIMITS.frameBytesMax` by default. */
  payloadBytesMax?: number | undefined;
  /** Which end this is; a client says how it masks: see {@link Sender}. */
  end: { role: "server" } | { role: "client"; mask: () => number };
}

const STATE = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const;
const EMPTY = new Uint8Array(0);

export class Connection implements Socket {
  binaryType = "arraybuffer";
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  readonly #o: ConnectionOptions;
  readonly #receiver: Receiver;
  #state: (typeof STATE)[keyof typeof STATE] = STATE.CONNECTING;
  #stream: ByteStream | undefined;
  #sender: Sender | undefined;
  /** What the peer's close frame said. */
  #closedWith: { code: number; reason: string } | undefined;
  #cancelTimeout = () => {};
  #isPongUnderWay = false;
  #nextPong: Uint8Array | undefined;

  constructor(o: ConnectionOptions) {
    this.#o = o;
    this.#receiver = new Receiver({
      from: o.end.role === "server" ? "client" : "server",
      payloadBytesMax: o.payloadBytesMax ?? LIMITS.frameBytesMax,
      buffers: o.buffers,
      events: {
        onText: (data) => this.onmessage?.({ data }),
        onBinary: (data) => this.onmessage?.({ data }),
        onPing: (payload) => this.#pong(payload),
        onPong: () => {},
        onClose: (code, reason) => this.#closedByPeer(code, reason),
      },
    });
  }

  get readyState(): number {
    return this.#state;
  }

  get bufferedAmount(): number {
    return this.#stream?.bufferedBytes ?? 0;
  }

  /**
   * Sends a message.
   *
   * @param data bytes stay untouched until `onSent`
   * @param onSent called once, even if the connection is closed or closes
   */
  send(data: string | Uint8Array<ArrayBuffer>, onSent?: () => void): void {
    if (this.#state !== STATE.OPEN) onSent?.();
    else if (typeof data === "string") this.#sender!.send(OPCODE.TEXT, new TextEncoder().encode(data), onSent);
    else this.#sender!.send(OPCODE.BINARY, data, onSent);
  }

  /** Sends a binary message of two pieces, which stay untouched until `onSent`, called as `send` calls it. */
  sendPieces(head: Uint8Array<ArrayBuffer>, body: Uint8Array<ArrayBuffer>, onSent: () => void): void {
    if (this.#state === STATE.OPEN) this.#sender!.sendPieces(OPCODE.BINARY, { head, body }, onSent);
    else onSent();
  }

  /** Closes after what was sent. @param reason for people; of it, what fits into 123 bytes arrives */
  close(code?: number, reason = ""): void {
    if (this.#state === STATE.CONNECTING) {
      this.#o.abort?.();
      this.streamClosed();
    } else if (this.#state === STATE.OPEN) this.#startClose(code, reason);
  }

  /** Drops the connection and what waits to go out. */
  terminate(): void {
    if (this.#state === STATE.CONNECTING) this.close();
    else this.#stream?.destroy();
  }

  /** The upgrade is done: from here on `receive` is told what the stream brings. */
  open(stream: ByteStream): void {
    this.#stream = stream;
    if (this.#state !== STATE.CONNECTING) return stream.destroy();
    const { end } = this.#o;
    this.#sender = new Sender({ stream, mask: end.role === "client" ? end.mask : "none" });
    this.#state = STATE.OPEN;
    this.onopen?.(undefined as never);
  }

  /** The stream's next bytes; they may be reused when this returns. */
  receive(chunk: Uint8Array): void {
    try {
      this.#receiver.push(chunk);
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      this.#startClose(error.closeCode, error.message);
      this.#stream?.end();
      this.onerror?.({ message: error.message, code: error.closeCode });
    }
  }

  /** The peer writes nothing more; so neither does this end. */
  streamEnded(): void {
    this.#receiver.stop();
    if (this.#state === STATE.OPEN) this.#awaitEnd();
    this.#stream?.end();
  }

  /** The stream is gone, or never came. */
  streamClosed(error?: Error): void {
    if (this.#state === STATE.CLOSED) return;
    this.#state = STATE.CLOSED;
    this.#cancelTimeout();
    this.#receiver.stop();
    if (error) this.onerror?.({ message: error.message });
    this.onclose?.(this.#closedWith ?? { code: CLOSE_CODES.BROKEN, reason: "" });
  }

  #startClose(code: number | undefined, reason: string): void {
    if (this.#state !== STATE.OPEN) return;
    this.#awaitEnd();
    this.#sender!.send(OPCODE.CLOSE, closePayload(code, reason));
  }

  #awaitEnd(): void {
    this.#state = STATE.CLOSING;
    this.#cancelTimeout = this.#o.clock.after(LIMITS.closeTimeoutMs, () => this.#stream!.destroy());
  }

  /** Answers with what the peer said. The server is the one to end the stream, so that no port of a client lingers. */
  #closedByPeer(code: number, reason: string): void {
    this.#closedWith = { code, reason };
    this.#startClose(code === CLOSE_CODES.NONE ? undefined : code, reason);
    if (this.#o.end.role === "server") this.#stream!.end();
  }

  /** One pong at a time: of the pings that come before it is out, the last is answered, as the RFC allows. */
  #pong(payload: Uint8Array): void {
    if (this.#state !== STATE.OPEN) return;
    const kept = payload.slice();
    if (this.#isPongUnderWay) {
      this.#nextPong = kept;
      return;
    }
    this.#isPongUnderWay = true;
    this.#sender!.send(OPCODE.PONG, kept, () => {
      const next = this.#nextPong;
      this.#isPongUnderWay = false;
      this.#nextPong = undefined;
      if (next) this.#pong(next);
    });
  }
}

/** @returns the code, and as much of the reason as a control frame carries, cut between characters */
function closePayload(code: number | undefined, reason: string): Uint8Array {
  if (code === undefined) return EMPTY;
  const payload = new Uint8Array(CONTROL_BYTES_MAX);
  new DataView(payload.buffer).setUint16(0, code);
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return payload.subarray(0, 2 + written);
}
