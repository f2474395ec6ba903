/** Where messages lie while they come and go: memory that is fresh each time, or the same again and again. */

export interface BufferPool {
  /** @returns exactly that long, at an 8-byte boundary; its contents may be anything */
  allocate(bytes: number): Uint8Array<ArrayBuffer>;
  /** Takes back what `allocate` gave, once. */
  release(buffer: Uint8Array<ArrayBuffer>): void;
}

/** Leaves each message to the garbage collector: who has it may keep it. */
export const FRESH_BUFFERS: BufferPool = {
  allocate: (bytes) => new Uint8Array(bytes),
  release: () => {},
};

const GRAIN_BYTES = 64 * 1024;

/**
 * Gives buffers that were given back before: the system has their pages already, which saves as much time as it takes
 * to fill them.
 */
export class RecycledBuffers implements BufferPool {
  readonly #bytesMax: number;
  /** Given back; all of their length. */
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  /** @param bytesMax of buffers that are kept while nobody uses them */
  constructor({ bytesMax }: { bytesMax: number }) {
    this.#bytesMax = bytesMax;
  }

  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    const at = this.#free.findLastIndex(({ byteLength }) => byteLength >= bytes && fits(byteLength, bytes));
    if (at < 0) return new Uint8Array(new ArrayBuffer(Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES), 0, bytes);
    const [buffer] = this.#free.splice(at, 1);
    this.#freeBytes -= buffer!.byteLength;
    return new Uint8Array(buffer!, 0, bytes);
  }

  release({ buffer }: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > this.#bytesMax) this.#freeBytes -= this.#free.shift()!.byteLength;
  }
}

/** A small message must not hold a large buffer. */
function fits(byteLength: number, bytes: number): boolean {
  return byteLength <= 2 * bytes + GRAIN_BYTES;
}
