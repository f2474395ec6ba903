/**
 * What a WebSocket's bytes say: RFC 6455 §5, incrementally and without I/O. The bytes may come in any pieces; the
 * payload of a message is copied once, from the piece it came in to its own memory.
 */
import { FRESH_BUFFERS, type BufferPool } from "../buffer-pool.ts";
import { CLOSE_CODES, isCloseCode, WebSocketError } from "./close-code.ts";
import { applyMask } from "./mask.ts";
import { MessageMemory } from "./message-memory.ts";
import { CONTROL_BYTES_MAX, LENGTH_16, LENGTH_64, OPCODE } from "./opcode.ts";

export interface ReceiverOptions {
  /** Whose bytes they are: a client must mask its frames, a server must not. */
  from: "client" | "server";
  /** Of one message. */
  payloadBytesMax: number;
  /** Where binary messages are written; by default each has its own memory, for ever. */
  buffers?: BufferPool | undefined;
  events: ReceiverEvents;
}

/** Called while `push` runs, in the order in which the frames end. */
export interface ReceiverEvents {
  onText(text: string): void;
  /** `payload` is of the buffers, and given back when this returns. */
  onBinary(payload: Uint8Array<ArrayBuffer>): void;
  /** `payload` must not be kept. */
  onPing(payload: Uint8Array): void;
  onPong(payload: Uint8Array): void;
  /** The last event. @param code 1005 when the peer gave none */
  onClose(code: number, reason: string): void;
}

const HEADER_BYTES_MAX = 14;
const FIN = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;

export class Receiver {
  readonly #from: ReceiverOptions["from"];
  readonly #payloadBytesMax: number;
  readonly #events: ReceiverEvents;
  readonly #binary: MessageMemory;
  readonly #text: MessageMemory;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The message under way, between its first frame and its last. */
  #message: MessageMemory | undefined;
  #isStopped = false;

  // The frame under way.
  readonly #header = new Uint8Array(HEADER_BYTES_MAX);
  #headerBytes = 0;
  #headerBytesNeeded = 2;
  #mask = 0;
  #payloadBytes = 0;
  #payloadBytesSeen = 0;
  readonly #control = new Uint8Array(CONTROL_BYTES_MAX);

  constructor({ from, payloadBytesMax, buffers = FRESH_BUFFERS, events }: ReceiverOptions) {
    this.#from = from;
    this.#payloadBytesMax = payloadBytesMax;
    this.#events = events;
    this.#binary = new MessageMemory(buffers, payloadBytesMax);
    this.#text = new MessageMemory(FRESH_BUFFERS, payloadBytesMax);
  }

  /**
   * Takes the next bytes. What they complete is told before this returns; `chunk` may be reused after that.
   *
   * @throws {WebSocketError} with the code to close the connection with; nothing is taken after it
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    try {
      while (at < chunk.length && !this.#isStopped) {
        if (this.#headerBytes < this.#headerBytesNeeded) this.#takeHeaderByte(chunk[at++]!);
        else at += this.#takePayload(chunk, at);
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Takes nothing any more, and gives back the memory of a message that is not whole. */
  stop(): void {
    this.#isStopped = true;
    // While the handler of a message runs, the message is its own: `#endFrame` releases it.
    this.#message?.clear();
    this.#message = undefined;
  }

  #takeHeaderByte(byte: number): void {
    this.#header[this.#headerBytes++] = byte;
    if (this.#headerBytes === 1) this.#checkFirstByte(byte);
    else if (this.#headerBytes === 2) this.#takeSecondByte(byte);
    if (this.#headerBytes === this.#headerBytesNeeded) this.#startPayload();
  }

  #checkFirstByte(byte: number): void {
    if (byte & RESERVED) throw violation("a reserved bit is set; no extension was agreed on");
    const opcode = byte & 15;
    switch (opcode) {
      case OPCODE.CONTINUATION:
        if (!this.#message) throw violation("a continuation frame without a message to continue");
        return;
      case OPCODE.TEXT:
      case OPCODE.BINARY:
        if (this.#message) throw violation("a message begins before the one under way has ended");
        return;
      case OPCODE.CLOSE:
      case OPCODE.PING:
      case OPCODE.PONG:
        if (!(byte & FIN)) throw violation(`a control frame (opcode ${opcode}) in fragments`);
        return;
      default:
        throw violation(`unknown opcode ${opcode}`);
    }
  }

  #takeSecondByte(byte: number): void {
    const isMasked = (byte & MASKED) !== 0;
    if (isMasked !== (this.#from === "client")) {
      throw violation(isMasked ? "a frame of a server is masked" : "a frame of a client is not masked");
    }
    const length = byte & 127;
    if (this.#isControl && length > CONTROL_BYTES_MAX) {
      throw violation(`a control frame of over ${CONTROL_BYTES_MAX} bytes`);
    }
    const lengthBytes = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0;
    this.#headerBytesNeeded = 2 + lengthBytes + (isMasked ? 4 : 0);
  }

  #startPayload(): void {
    const view = new DataView(this.#header.buffer);
    this.#payloadBytes = payloadBytes(view);
    this.#payloadBytesSeen = 0;
    this.#mask = this.#from === "client" ? view.getUint32(this.#headerBytesNeeded - 4, true) : 0;
    if (!this.#isControl) {
      this.#message ??= this.#opcode === OPCODE.TEXT ? this.#text : this.#binary;
      const bytes = this.#message.bytes + this.#payloadBytes;
      if (bytes > this.#payloadBytesMax) {
        throw new WebSocketError(
          CLOSE_CODES.TOO_BIG,
          `a message of ${bytes} bytes or more, over the limit of ${this.#payloadBytesMax}`,
        );
      }
      this.#message.expect(this.#payloadBytes);
    }
    if (this.#payloadBytes === 0) this.#endFrame();
  }

  /** @returns how many bytes were taken */
  #takePayload(chunk: Uint8Array, from: number): number {
    const at = this.#payloadBytesSeen;
    const left = this.#payloadBytes - at;
    const bytes = Math.min(left, chunk.length - from);
    const piece = bytes === chunk.length ? chunk : chunk.subarray(from, from + bytes);
    if (this.#isControl) this.#control.set(piece, at);
    else this.#message!.append(piece, { mask: this.#mask, at });
    this.#payloadBytesSeen += bytes;
    if (bytes === left) this.#endFrame();
    return bytes;
  }

  #endFrame(): void {
    const isLast = (this.#header[0]! & FIN) !== 0;
    this.#headerBytes = 0;
    this.#headerBytesNeeded = 2;
    if (this.#isControl) this.#tellControl(this.#control.subarray(0, this.#payloadBytes));
    else if (isLast) this.#tellMessage();
  }

  #tellMessage(): void {
    const message = this.#message!;
    this.#message = undefined;
    try {
      if (message === this.#binary) this.#events.onBinary(message.message);
      else this.#events.onText(this.#textOf(message.message));
    } finally {
      message.clear();
    }
  }

  #tellControl(payload: Uint8Array): void {
    applyMask(payload, this.#mask, 0);
    if (this.#opcode === OPCODE.PING) this.#events.onPing(payload);
    else if (this.#opcode === OPCODE.PONG) this.#events.onPong(payload);
    else this.#tellClose(payload);
  }

  #tellClose(payload: Uint8Array): void {
    if (payload.length === 1) throw violation("a close frame of one byte");
    const code = payload.length === 0 ? CLOSE_CODES.NONE : (payload[0]! << 8) | payload[1]!;
    if (payload.length > 0 && !isCloseCode(code)) throw violation(`close code ${code}`);
    const reason = this.#textOf(payload.subarray(2));
    this.stop();
    this.#events.onClose(code, reason);
  }

  #textOf(bytes: Uint8Array): string {
    try {
      return this.#utf8.decode(bytes);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new WebSocketError(CLOSE_CODES.BAD_TEXT, "text that is no UTF-8");
    }
  }

  get #opcode(): number {
    return this.#header[0]! & 15;
  }

  get #isControl(): boolean {
    return this.#opcode >= OPCODE.CLOSE;
  }
}

/** The length must be written in the shortest of its three forms. */
function payloadBytes(header: DataView): number {
  const short = header.getUint8(1) & 127;
  if (short < LENGTH_16) return short;
  const bytes = short === LENGTH_16 ? header.getUint16(2) : header.getUint32(2) * 2 ** 32 + header.getUint32(6);
  if (bytes < (short === LENGTH_16 ? LENGTH_16 : 2 ** 16)) throw violation(`a length of ${bytes} in its longer form`);
  if (bytes >= 2 ** 63) throw violation("a length of 2^63 or more");
  return bytes;
}

function violation(message: string): WebSocketError {
  return new WebSocketError(CLOSE_CODES.PROTOCOL_ERROR, `the WebSocket protocol is broken: ${message}`);
}
