/**
 * Buffers in which replies are written where their bytes are then sent from: room for a frame's header, then values,
 * in the memory of the rows, so that a reply is copied once, from row to socket. A buffer comes back when its bytes
 * have gone out; a few of the usual size are kept.
 */
import { assert } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Arena } from "@volary/core/table";
import { HEADER_BYTES, type Frame } from "@volary/core/wire";

export interface ReplyBuffer {
  readonly arena: Arena;
  /** Where its values begin: an address that is a multiple of 8. */
  readonly valuesAt: number;
  /** From the header on. */
  readonly bytes: number;
}

/** Values are followed by up to 7 bytes that pad them. */
const PADDING = 8;
const KEPT_BYTES = HEADER_BYTES + LIMITS.replyPartBytes + PADDING;

export class ReplyBuffers {
  readonly #kept = new Map<Arena, ReplyBuffer[]>();
  /** Buffers that are in use. */
  #taken = 0;
  #keeps = true;

  get taken(): number {
    return this.#taken;
  }

  /**
   * A buffer for so many bytes of values; it must be given back.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: the memory is full
   */
  take(arena: Arena, valueBytes: number): ReplyBuffer {
    const usual = valueBytes <= LIMITS.replyPartBytes;
    const kept = usual ? this.#kept.get(arena)?.pop() : undefined;
    this.#taken++;
    if (kept) return kept;
    const bytes = usual ? KEPT_BYTES : HEADER_BYTES + valueBytes + PADDING;
    try {
      return { arena, valuesAt: arena.allocate(bytes) + HEADER_BYTES, bytes };
    } catch (error) {
      this.#taken--;
      throw error;
    }
  }

  give(buffer: ReplyBuffer): void {
    assert(this.#taken > 0, "a buffer is given back once");
    this.#taken--;
    const { arena, bytes, valuesAt } = buffer;
    const kept = this.#kept.get(arena) ?? [];
    this.#kept.set(arena, kept);
    if (this.#keeps && bytes === KEPT_BYTES && kept.length < LIMITS.replyBuffersKept) kept.push(buffer);
    else arena.free(valuesAt - HEADER_BYTES, bytes);
  }

  /** Keeps no buffer any more: those that are in use go to their memories when they come back. */
  dispose(): void {
    this.#keeps = false;
    for (const [arena, kept] of this.#kept) {
      for (const { valuesAt, bytes } of kept) arena.free(valuesAt - HEADER_BYTES, bytes);
    }
    this.#kept.clear();
  }
}

/** The values of a frame that were written to a buffer, as the fields of the frame that carries them. */
export function valuesIn(
  { arena, valuesAt }: ReplyBuffer,
  { bytes, dtype }: { bytes: number; dtype: Frame["dtype"] },
): Pick<Frame, "dtype" | "values" | "coded"> & { headRoom: number } {
  const floats = dtype === "float32" ? bytes / 4 : 0;
  return {
    dtype,
    values: arena.floats.subarray(valuesAt / 4, valuesAt / 4 + floats),
    coded: arena.bytes.subarray(valuesAt, valuesAt + (dtype === "float32" ? 0 : bytes)),
    headRoom: HEADER_BYTES,
  };
}
