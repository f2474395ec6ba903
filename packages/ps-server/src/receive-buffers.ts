/**
 * Where frames arrive on a PS node: in the memory of its rows, so that kernels read keys and gradients where the
 * socket has put them. Buffers are used again and again; when the memory is full, frames arrive outside of it and are
 * copied in where they are needed.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Arena } from "@volary/core/table";
import { RecycledBuffers, type BufferPool } from "@volary/core/wire/websocket";

const SMALLEST_BYTES = 64 * 1024;

export class ReceiveBuffers implements BufferPool {
  readonly #arena: Arena;
  readonly #outside = new RecycledBuffers({ bytesMax: LIMITS.receiveBuffersBytesMax });
  /** Addresses of buffers that nobody uses, by the power of two that is their length. */
  readonly #free = new Map<number, number[]>();
  /** Bytes of all buffers in the arena. */
  #bytes = 0;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    const length = lengthFor(bytes);
    const at = this.#free.get(length)?.pop() ?? this.#take(length);
    return at === 0 ? this.#outside.allocate(bytes) : this.#arena.bytes.subarray(at, at + bytes);
  }

  release(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer.buffer !== this.#arena.bytes.buffer) {
      this.#outside.release(buffer);
      return;
    }
    const length = lengthFor(buffer.length);
    const free = this.#free.get(length);
    if (free) free.push(buffer.byteOffset);
    else this.#free.set(length, [buffer.byteOffset]);
  }

  /** @returns an address, or 0 where frames have had their part of the memory */
  #take(length: number): number {
    if (this.#bytes + length > LIMITS.receiveBuffersBytesMax) return 0;
    try {
      const at = this.#arena.allocate(length);
      this.#bytes += length;
      return at;
    } catch (error) {
      if (error instanceof ClusterError) return 0;
      throw error;
    }
  }
}

function lengthFor(bytes: number): number {
  return Math.max(SMALLEST_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
}
