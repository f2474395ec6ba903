/** A small memory for the kernels' tests: what a kernel must not touch is filled with a pattern, and looked at after. */
import { openKernels, type Kernels } from "./kernels.ts";

const PAGES = 64;
const UNTOUCHED = 0xa5;
/** What lies below is the kernels' own. */
const FIRST_ADDRESS = 1024;
const GUARD_BYTES = 64;

export class TestMemory {
  readonly kernels: Kernels;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #next = FIRST_ADDRESS;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.kernels = openKernels(memory);
    this.#bytes = new Uint8Array(memory.buffer);
  }

  /** Forgets what was placed. */
  reset(): this {
    this.#bytes.fill(UNTOUCHED, 0, Math.min(this.#bytes.length, this.#next + 2 * GUARD_BYTES));
    this.#next = FIRST_ADDRESS;
    return this;
  }

  /** Reserves bytes, `offset` after a multiple of 16, with untouched bytes around them; returns their address. */
  reserve(bytes: number, offset = 0): number {
    const at = Math.ceil((this.#next + GUARD_BYTES) / 16) * 16 + offset;
    this.#next = at + bytes;
    if (this.#next + GUARD_BYTES > this.#bytes.length) throw new RangeError("the test memory is full");
    this.#bytes.fill(UNTOUCHED, at - GUARD_BYTES, this.#next + GUARD_BYTES);
    return at;
  }

  /** Places a copy of what an array holds and returns its address. */
  put(array: Uint8Array | Uint16Array | Uint32Array | Float32Array, offset = 0): number {
    const at = this.reserve(array.byteLength, offset);
    this.#bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    return at;
  }

  /** Copies of what lies at an address. */
  bytes(at: number, n: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(at, at + n);
  }
  shorts(at: number, n: number): Uint16Array<ArrayBuffer> {
    return new Uint16Array(this.bytes(at, 2 * n).buffer);
  }
  words(at: number, n: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.bytes(at, 4 * n).buffer);
  }
  floats(at: number, n: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.bytes(at, 4 * n).buffer);
  }

  /** Are the bytes before and behind these as they were? */
  untouchedAround(at: number, bytes: number): boolean {
    const before = this.#bytes.subarray(at - GUARD_BYTES, at);
    const behind = this.#bytes.subarray(at + bytes, at + bytes + GUARD_BYTES);
    return before.every((byte) => byte === UNTOUCHED) && behind.every((byte) => byte === UNTOUCHED);
  }
}
