/**
 * Messages over a data channel, in chunks: a channel takes no more than 64 KiB at a time from every browser (RFC 8831,
 * §6.6), and a long message would hold up the short ones of others.
 *
 * A chunk is a little-endian header of 12 bytes and a part of the message:
 *
 *     message u32   its number, from 0, one more each time, modulo 2^32
 *     chunk   u32   which chunk of it, from 0
 *     chunks  u32   how many it has
 *
 * All chunks but the last are full. A channel keeps their order, so anything out of order is the sender's doing.
 */
import { ProtocolError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";

export const CHUNK_HEADER_BYTES = 12;
const PART_BYTES = LIMITS.groupChunkBytes - CHUNK_HEADER_BYTES;
const CHUNKS_MAX = Math.ceil(LIMITS.groupMessageBytesMax / PART_BYTES);

/** Cuts one message; what it gives next is made when it is asked for. */
export class ChunkWriter {
  readonly #message: number;
  readonly #bytes: Uint8Array;
  readonly #chunks: number;
  #next = 0;

  /**
   * @param message its number
   * @param bytes at most `LIMITS.groupMessageBytesMax`, not to be touched until {@link done}
   */
  constructor(message: number, bytes: Uint8Array) {
    this.#message = message;
    this.#bytes = bytes;
    this.#chunks = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
  }

  get done(): boolean {
    return this.#next === this.#chunks;
  }

  next(): Uint8Array<ArrayBuffer> {
    const from = this.#next * PART_BYTES;
    const part = this.#bytes.subarray(from, from + PART_BYTES);
    const chunk = new Uint8Array(CHUNK_HEADER_BYTES + part.length);
    const header = new DataView(chunk.buffer);
    header.setUint32(0, this.#message, true);
    header.setUint32(4, this.#next++, true);
    header.setUint32(8, this.#chunks, true);
    chunk.set(part, CHUNK_HEADER_BYTES);
    return chunk;
  }
}

/** Puts messages together. It keeps no more bytes than have come, and those of one message only. */
export class ChunkReader {
  #message = 0;
  #chunks = 0;
  #parts: Uint8Array[] = [];

  /**
   * Takes a chunk, whose bytes it may keep.
   *
   * @returns the message that it ends, at a multiple of 8 bytes in its buffer; undefined where more must come
   * @throws {ProtocolError} a chunk that cannot come now; the channel it came over should be closed
   */
  take(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    if (bytes.length < CHUNK_HEADER_BYTES || bytes.length > LIMITS.groupChunkBytes) {
      throw new ProtocolError(
        `a chunk has ${bytes.length} bytes and must have ${CHUNK_HEADER_BYTES} to ${LIMITS.groupChunkBytes}`,
      );
    }
    const header = new DataView(bytes.buffer, bytes.byteOffset, CHUNK_HEADER_BYTES);
    const [message, chunk, chunks] = [header.getUint32(0, true), header.getUint32(4, true), header.getUint32(8, true)];
    const isFirst = this.#parts.length === 0;
    if (message !== this.#message || chunk !== this.#parts.length || (!isFirst && chunks !== this.#chunks)) {
      throw new ProtocolError(
        `chunk ${chunk} of ${chunks} of message ${message} came ` +
          `where chunk ${this.#parts.length} of message ${this.#message} was due`,
      );
    }
    if (chunks < 1 || chunks > CHUNKS_MAX) {
      throw new ProtocolError(`a message of ${chunks} chunks; it must have 1 to ${CHUNKS_MAX}`);
    }
    const isLast = chunk === chunks - 1;
    if (!isLast && bytes.length !== LIMITS.groupChunkBytes) {
      throw new ProtocolError(`chunk ${chunk} of ${chunks} has ${bytes.length} bytes; all but the last are full`);
    }
    this.#chunks = chunks;
    this.#parts.push(bytes.subarray(CHUNK_HEADER_BYTES));
    return isLast ? this.#whole() : undefined;
  }

  #whole(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#message = (this.#message + 1) >>> 0;
    return whole;
  }
}
