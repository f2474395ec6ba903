/**
 * One WebAssembly memory that holds rows, with the kernels that work on it.
 *
 * It is made at its full size and never grows: growing would detach every view of it, those that a socket is still
 * sending from included. Pages that were never touched cost no RAM. An address is a byte offset below 4 GiB; 0 stands
 * for none.
 */
import { ClusterError } from "../errors.ts";
import { openKernels, type Kernels } from "../kernels/index.ts";
import { Extents } from "./extents.ts";

const PAGE_BYTES = 65_536;
/** Address 0 stands for none, and what kernels keep for themselves lies below this. */
const FIRST_ADDRESS = 1024;

export class Arena {
  readonly kernels: Kernels;
  /** Views of all of the memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly floats: Float32Array<ArrayBuffer>;
  readonly #extents: Extents;
  #scratchAt = 0;
  #scratchBytes = 0;

  /** @param bytes at most 4 GiB; whole pages of 64 KiB */
  constructor(bytes: number) {
    const pages = Math.ceil(bytes / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.kernels = openKernels(memory);
    const buffer = memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.floats = new Float32Array(buffer);
    this.#extents = new Extents({ from: FIRST_ADDRESS, to: buffer.byteLength });
  }

  get bytesUsed(): number {
    return this.#extents.used;
  }

  /**
   * Takes `bytes` bytes, whose contents are whatever was there before.
   *
   * @returns their address, a multiple of 64
   * @throws {ClusterError} LIMIT_EXCEEDED
   */
  allocate(bytes: number): number {
    const at = this.#extents.take(bytes);
    if (at !== 0) return at;
    throw new ClusterError(
      "LIMIT_EXCEEDED",
      `no ${bytes} bytes in a row are left of a memory of ${this.bytes.length} bytes: give the PS node more memories`,
    );
  }

  /** Gives back what `allocate(bytes)` took. */
  free(at: number, bytes: number): void {
    this.#extents.give(at, bytes);
  }

  /** Space for one call: the next call of `scratch` may overwrite it. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      if (this.#scratchBytes > 0) this.free(this.#scratchAt, this.#scratchBytes);
      this.#scratchBytes = Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
      this.#scratchAt = this.allocate(this.#scratchBytes);
    }
    return this.#scratchAt;
  }
}
