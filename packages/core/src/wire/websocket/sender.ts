/** Frames as bytes: RFC 6455 §5.2. A message is one frame, and its payload is sent from where it lies. */
import { RecycledBuffers } from "../buffer-pool.ts";
import { applyMask } from "./mask.ts";
import { LENGTH_16, LENGTH_64, type OPCODE } from "./opcode.ts";

/** One end of a connection: bytes in order, in both directions. */
export interface ByteStream {
  /**
   * Sends `header` and then `payload` as one write. Both stay untouched until `onSent`, which is called once: when the
   * system has taken them, or when the stream is gone.
   */
  write(header: Uint8Array, payload: Uint8Array, onSent: (() => void) | undefined): void;
  /** Bytes written that the system has not taken. */
  readonly bufferedBytes: number;
  /** Nothing is written after this; what was, still goes out. */
  end(): void;
  /** Drops the connection and what waits to go out. */
  destroy(): void;
}

export interface SenderOptions {
  stream: ByteStream;
  /** A fresh unpredictable u32 for each frame of a client; a server masks nothing, and says "none". */
  mask: (() => number) | "none";
}

/** Of masked copies, kept for the next ones. */
const COPIES_BYTES_MAX = 16 * 1024 * 1024;

const EMPTY = new Uint8Array(0);

export class Sender {
  readonly #stream: ByteStream;
  readonly #mask: SenderOptions["mask"];
  readonly #copies = new RecycledBuffers({ bytesMax: COPIES_BYTES_MAX });

  constructor({ stream, mask }: SenderOptions) {
    this.#stream = stream;
    this.#mask = mask;
  }

  /**
   * Sends one frame. The payload is copied only if a mask other than 0 is to be applied: the caller's stays as it is.
   *
   * @param onSent the payload may be changed; called once, whatever becomes of the connection
   */
  send(opcode: (typeof OPCODE)[keyof typeof OPCODE], payload: Uint8Array, onSent?: () => void): void {
    this.sendPieces(opcode, { head: EMPTY, body: payload }, onSent);
  }

  /** The same for a payload of two pieces, of which `head` is short: it is copied. */
  sendPieces(
    opcode: (typeof OPCODE)[keyof typeof OPCODE],
    { head, body }: { head: Uint8Array; body: Uint8Array },
    onSent?: () => void,
  ): void {
    const mask = this.#mask === "none" ? undefined : this.#mask();
    const bytes = head.length + body.length;
    const before = header(opcode, bytes, mask);
    if (!mask || bytes === 0) return this.#stream.write(joined(before, head), body, onSent);
    const copy = this.#copies.allocate(bytes);
    copy.set(head);
    copy.set(body, head.length);
    applyMask(copy, mask, 0);
    this.#stream.write(before, copy, () => this.#copies.release(copy));
    onSent?.();
  }
}

function joined(header: Uint8Array, head: Uint8Array): Uint8Array {
  if (head.length === 0) return header;
  const both = new Uint8Array(header.length + head.length);
  both.set(header);
  both.set(head, header.length);
  return both;
}

function header(opcode: number, bytes: number, mask: number | undefined): Uint8Array {
  const lengthBytes = bytes < LENGTH_16 ? 0 : bytes < 2 ** 16 ? 2 : 8;
  const view = new DataView(new ArrayBuffer(2 + lengthBytes + (mask === undefined ? 0 : 4)));
  view.setUint8(0, 0x80 | opcode);
  const length = lengthBytes === 0 ? bytes : lengthBytes === 2 ? LENGTH_16 : LENGTH_64;
  view.setUint8(1, (mask === undefined ? 0 : 0x80) | length);
  if (lengthBytes === 2) view.setUint16(2, bytes);
  if (lengthBytes === 8) {
    view.setUint32(2, Math.floor(bytes / 2 ** 32));
    view.setUint32(6, bytes >>> 0);
  }
  if (mask !== undefined) view.setUint32(2 + lengthBytes, mask, true);
  return new Uint8Array(view.buffer);
}
