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
const KERNEL_BYTES = 2048;
/** Kernels may read this far behind a row; and no address is 2³². */
const SPARE_BYTES = 128;
/** Rows that are worked on at a time: what one kernel has touched is still in the cache for the next. */
export const CHUNK_ROWS = 1024;

export class Arena {
  readonly kernels: Kernels;
  /** Views of all of the memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly floats: Float32Array<ArrayBuffer>;
  /** Addresses of u32[CHUNK_ROWS]: for the addresses of a chunk of rows, and for numbers of keys. */
  readonly chunkRows = KERNEL_BYTES;
  readonly chunkNumbers = KERNEL_BYTES + 4 * CHUNK_ROWS;
  readonly #extents: Extents;
  readonly #scratch = { at: 0, bytes: 0 };
  readonly #rowScratch = { at: 0, bytes: 0 };

  /** @param bytes at most 4 GiB; whole pages of 64 KiB */
  constructor(bytes: number) {
    const pages = Math.ceil(bytes / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.kernels = openKernels(memory);
    const { buffer } = memory;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.floats = new Float32Array(buffer);
    this.#extents = new Extents({
      from: KERNEL_BYTES + 8 * CHUNK_ROWS,
      to: buffer.byteLength - SPARE_BYTES,
    });
  }

  get bytesUsed(): number {
    return this.#extents.used;
  }

  /**
   * Takes `bytes` bytes, whose contents are whatever was there before.
   *
   * @returns their address, a multiple of 32
   * @throws {ClusterError} LIMIT_EXCEEDED
   */
  allocate(bytes: number): number {
    const at = this.#extents.take(bytes);
    if (at !== 0) return at;
    throw new ClusterError(
      "LIMIT_EXCEEDED",
      `no ${bytes} bytes in a row are left of a memory of ${this.bytes.length} bytes, which rows, staged steps and replies under way share: give the PS node more memory (--memory-max), or start more PS nodes`,
    );
  }

  /**
   * Holds `bytes` bytes that are wanted soon, at the other end of the memory; `free` gives them back, too.
   *
   * @returns their address, or 0 where so many are not left in a row
   */
  hold(bytes: number): number {
    return this.#extents.takeLast(bytes);
  }

  /** Gives back what `allocate(bytes)` took. */
  free(at: number, bytes: number): void {
    this.#extents.give(at, bytes);
  }

  /** Space for the segment of one call: the next call of `scratch` may overwrite it. */
  scratch(bytes: number): number {
    return this.#atLeast(bytes, this.#scratch);
  }

  /** Space for the rows of one call, apart from that of `scratch`. */
  rowScratch(bytes: number): number {
    return this.#atLeast(bytes, this.#rowScratch);
  }

  #atLeast(bytes: number, space: { at: number; bytes: number }): number {
    if (bytes > space.bytes) {
      if (space.bytes > 0) this.free(space.at, space.bytes);
      space.bytes = 0;
      const wanted = Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
      space.at = this.allocate(wanted);
      space.bytes = wanted;
    }
    return space.at;
  }
}
