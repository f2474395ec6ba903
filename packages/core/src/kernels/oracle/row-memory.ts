/** A memory with its kernels and views of all of it, one for all tests of a file: rows are looked at where they are. */
import { openKernels, type Kernels } from "../kernels.ts";

/** What lies below is the kernels' own. */
const FIRST_ADDRESS = 2048;

export class RowMemory {
  readonly kernels: Kernels;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly floats: Float32Array;
  #next = FIRST_ADDRESS;

  constructor(pages: number) {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.kernels = openKernels(memory);
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.floats = new Float32Array(memory.buffer);
  }

  /** Gives back everything. */
  clear(): void {
    this.#next = FIRST_ADDRESS;
  }

  /** The address of `bytes` bytes of garbage, a multiple of 8. */
  take(bytes: number): number {
    const at = Math.ceil(this.#next / 8) * 8;
    this.#next = at + bytes;
    if (this.#next > this.bytes.length) throw new RangeError(`a test needs more than ${this.bytes.length} bytes`);
    this.bytes.fill(0xa5, at, this.#next);
    return at;
  }

  takeWords(values: ArrayLike<number>): number {
    const at = this.take(4 * values.length);
    this.words.set(values, at / 4);
    return at;
  }

  takeFloats(values: ArrayLike<number>): number {
    const at = this.take(4 * values.length);
    this.floats.set(values, at / 4);
    return at;
  }

  wordsAt(at: number, n: number): Uint32Array {
    return this.words.subarray(at / 4, at / 4 + n);
  }

  floatsAt(at: number, n: number): Float32Array {
    return this.floats.subarray(at / 4, at / 4 + n);
  }
}
