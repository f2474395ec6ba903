/**
 * The memory of one message while it arrives. A frame's payload is written where it stays; only a message whose length
 * is not known at first (fragments), or that is far longer than any before it, moves when it grows.
 *
 * What a peer announces costs nothing until it sends it: at first there is room for at most twice the longest message
 * that this connection has carried (1 MB before there was one), and whenever that is full, for twice as much.
 */
import type { BufferPool } from "../buffer-pool.ts";
import { applyMask } from "./mask.ts";

const EMPTY = new Uint8Array(0);
const ROOM_AT_FIRST = 1024 * 1024;

export class MessageMemory {
  readonly #buffers: BufferPool;
  readonly #bytesMax: number;
  #room: Uint8Array<ArrayBuffer> = EMPTY;
  #bytes = 0;
  #longest = ROOM_AT_FIRST / 2;

  /** @param bytesMax of a message; the caller checks it */
  constructor(buffers: BufferPool, bytesMax: number) {
    this.#buffers = buffers;
    this.#bytesMax = bytesMax;
  }

  /** Bytes of the message so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The message so far: a view until `append` or `clear`. */
  get message(): Uint8Array<ArrayBuffer> {
    return this.#room.length === this.#bytes ? this.#room : this.#room.subarray(0, this.#bytes);
  }

  /** A frame of this many bytes begins. */
  expect(bytes: number): void {
    if (this.#room === EMPTY && bytes > 0) this.#room = this.#buffers.allocate(Math.min(bytes, 2 * this.#longest));
  }

  /**
   * Appends a piece of a frame's payload, unmasked.
   *
   * @param at where in the frame's payload the piece begins
   */
  append(piece: Uint8Array, { mask, at }: { mask: number; at: number }): void {
    const end = this.#bytes + piece.length;
    if (end > this.#room.length) this.#grow(end);
    this.#room.set(piece, this.#bytes);
    if (mask !== 0) applyMask(this.#room.subarray(this.#bytes, end), mask, at);
    this.#bytes = end;
  }

  /** Gives the message's memory back; the next one begins. */
  clear(): void {
    this.#longest = Math.max(this.#longest, this.#bytes);
    this.#bytes = 0;
    const room = this.#room;
    this.#room = EMPTY;
    if (room !== EMPTY) this.#buffers.release(room);
  }

  #grow(bytes: number): void {
    const before = this.#room;
    this.#room = this.#buffers.allocate(Math.min(Math.max(bytes, 2 * before.length), this.#bytesMax));
    this.#room.set(before.subarray(0, this.#bytes));
    if (before !== EMPTY) this.#buffers.release(before);
  }
}
