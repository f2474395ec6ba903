/**
 * The kernels: loops over rows and floats in WebAssembly with SIMD, compiled from `./assembly` by
 * `scripts/build-kernels.mjs`. Beside each stands a plain TypeScript oracle that its tests compare it with.
 *
 * All addresses are bytes from the start of the memory the kernels were opened on, and counts are u32. Kernels
 * allocate nothing, keep no state of their own and check nothing: who calls them does.
 */
import { KERNELS_BASE64 } from "./kernels.wasm.ts";
import type { TableKernels } from "./table-kernels.ts";

export interface Kernels extends TableKernels {
  /** Are `n` floats from `values` on neither NaN nor infinite? 1 or 0. */
  allFinite(values: number, n: number): number;
  /** The first of `n` keys (pairs of words, low first) that is not above the one before it, or -1. */
  firstNotAscending(keys: number, n: number): number;

  // Conversions round to nearest, ties to even; a NaN stays a NaN.

  /** out u16[n]: bfloat16s of `n` floats. */
  toBfloat16(values: number, n: number, out: number): void;
  /** out f32[n] of `n` bfloat16s: exact. */
  fromBfloat16(values: number, n: number, out: number): void;
  /**
   * Rows of `dim` floats as blocks of 8 + dim bytes and zeros up to a multiple of 4: scale f32 = (max − min) / 255,
   * minimum f32, and round((value − minimum) / scale) for each value, 0 where the scale is, as one below 2^-126 is too.
   * A row that is not finite, or wider than floats reach, comes back as NaN.
   */
  toInt8Rows(values: number, rows: number, dim: number, out: number): void;
  /** out f32[rows, dim] of such blocks: minimum + scale · byte, both rounded to float32. */
  fromInt8Rows(blocks: number, rows: number, dim: number, out: number): void;

  // Sums are rounded to float32 one by one, in the order of the arguments.

  /** to[i] += from[i], `n` floats. */
  addFloats(to: number, from: number, n: number): void;
  /** out[i] = values[i] - sent[i], `n` floats; 0 where that is not finite. `out` may be either. */
  lostFloats(values: number, sent: number, n: number, out: number): void;
  /** values[i] *= factor, `n` floats. */
  scaleFloats(values: number, n: number, factor: number): void;
  /**
   * Merges ascending runs of keys into one and sums the rows of equal keys in the order of the runs:
   * ((run 0 + run 1) + run 2) ….
   *
   * @param lanes u32[laneCount, 3]: for each run the addresses of its keys (pairs of words) and of its values
   * (f32[n, dim]), and n, which may be 0; used up
   * @param outKeys overlaps no run, nor do `outValues`; both have room as if no two runs shared a key
   * @returns how many keys were written
   */
  mergeRuns(lanes: number, laneCount: number, dim: number, outKeys: number, outValues: number): number;

  // A magnitude is the bits of |x|, which are in the order of the values, NaN above all.

  /** counts u32[4, 4096] += how many of `n` floats have each upper 12 bits of a magnitude: the sums of four tables. */
  countMagnitudes(values: number, n: number, counts: number): void;
  /** out u32[…]: the places of those of `n` floats whose magnitude is `least` or above, ascending; returns how many. */
  placesFromMagnitude(values: number, n: number, least: number, out: number): number;

  /** MurmurHash3_x64_128 with seed 0 of `bytes` bytes, 16 bytes to `out`. */
  hash128(at: number, bytes: number, out: number): void;
  /** The same piece by piece: takes `bytes` bytes, a multiple of 16, into a state of 16 bytes that begins as zeros, */
  hash128Blocks(at: number, bytes: number, state: number): void;
  /** then the last `tail` bytes, fewer than 16, of `bytes` in all, and makes the state the digest. */
  hash128Finish(at: number, tail: number, bytes: number, state: number): void;
}

let compiled: WebAssembly.Module | undefined;

/** Instantiates the kernels on a memory. */
export function openKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(KERNELS_BASE64), (char) => char.charCodeAt(0)));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels;
}
