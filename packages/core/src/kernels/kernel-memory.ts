/**
 * Kernels for callers whose data lies outside of a kernel memory, as workers' and browsers' does: what is given is
 * copied in and what comes of it copied out, piece by piece, so that a small memory serves any length and stays in
 * the processor's cache. Even so, float32 to bfloat16 takes 0.6 of the time of a plain loop, a sum 0.4, and the
 * hash reads 5 GB/s (megabytes on a busy EPYC, Node 24, November 2026).
 */
import { LIMITS } from "../limits.ts";
import { openKernels, type Kernels } from "./kernels.ts";

/** A piece is 64 KiB: within what a first or second cache holds, and a whole number of the hash's blocks. */
const PIECE_BYTES = 65_536;
const PIECE_FLOATS = PIECE_BYTES / 4;
/** A row of int8 has its scale and its minimum in front. */
const INT8_HEADER_BYTES = 8;

/** A bucket of magnitudes is the upper 12 of 31 bits. */
const MAGNITUDE_BUCKETS = 4096;

/** The hash's state, floats (a piece, or one row where that is longer), then what they are coded as or other floats. */
const HASH_AT = 0;
const FLOATS_AT = 64;
const CODES_AT = FLOATS_AT + 4 * Math.max(PIECE_FLOATS, LIMITS.dimMax);
const CODES_BYTES = Math.max(PIECE_FLOATS * int8RowBytes(1), int8RowBytes(LIMITS.dimMax));
const PAGE_BYTES = 65_536;
const PAGES = Math.ceil((CODES_AT + CODES_BYTES) / PAGE_BYTES);

/** A small memory with kernels, made when it is first used. What its methods return belongs to the caller. */
export class KernelMemory {
  #opened: { readonly kernels: Kernels; readonly bytes: Uint8Array } | undefined;

  /** The 16 bytes of MurmurHash3_x64_128 with seed 0: a name for bytes, no defence against who wants two to agree. */
  hash128(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const { kernels, bytes: memory } = this.#open();
    memory.fill(0, HASH_AT, HASH_AT + 16);
    const whole = bytes.length - (bytes.length % 16);
    for (let from = 0; from < whole; from += PIECE_BYTES) {
      const piece = bytes.subarray(from, Math.min(from + PIECE_BYTES, whole));
      memory.set(piece, FLOATS_AT);
      kernels.hash128Blocks(FLOATS_AT, piece.length, HASH_AT);
    }
    memory.set(bytes.subarray(whole), FLOATS_AT);
    kernels.hash128Finish(FLOATS_AT, bytes.length - whole, bytes.length, HASH_AT);
    return new Uint8Array(memory.subarray(HASH_AT, HASH_AT + 16));
  }

  /**
   * to[i] += from[i], each sum rounded to float32.
   *
   * @throws {RangeError} their lengths differ
   */
  addFloats(to: Float32Array, from: Float32Array): void {
    if (to.length !== from.length) throw new RangeError(`${from.length} values to be added to ${to.length}`);
    const { kernels } = this.#open();
    this.#each(to.length, 1, (at, n) => {
      const sums = to.subarray(at, at + n);
      this.#put(FLOATS_AT, sums);
      this.#put(CODES_AT, from.subarray(at, at + n));
      kernels.addFloats(FLOATS_AT, CODES_AT, n);
      this.#take(FLOATS_AT, sums);
    });
  }

  /**
   * out[i] = values[i] − sent[i]; 0 where that is not finite. `out` may be either.
   *
   * @throws {RangeError} their lengths differ
   */
  lostFloats(values: Float32Array, sent: Float32Array, out: Float32Array): void {
    if (sent.length !== values.length || out.length !== values.length)
      throw new RangeError(`${values.length} values, of which ${sent.length} are sent and ${out.length} lost`);
    const { kernels } = this.#open();
    this.#each(values.length, 1, (at, n) => {
      this.#put(FLOATS_AT, values.subarray(at, at + n));
      this.#put(CODES_AT, sent.subarray(at, at + n));
      kernels.lostFloats(FLOATS_AT, CODES_AT, n, FLOATS_AT);
      this.#take(FLOATS_AT, out.subarray(at, at + n));
    });
  }

  /** How many values have each upper 12 bits of the 31 of |value|, exponent first: u32[4096], ascending. */
  countMagnitudes(values: Float32Array): Uint32Array<ArrayBuffer> {
    const { kernels, bytes } = this.#open();
    bytes.fill(0, CODES_AT, CODES_AT + 4 * 4 * MAGNITUDE_BUCKETS);
    this.#each(values.length, 1, (at, n) => {
      this.#put(FLOATS_AT, values.subarray(at, at + n));
      kernels.countMagnitudes(FLOATS_AT, n, CODES_AT);
    });
    const tables = new Uint32Array(bytes.buffer, CODES_AT, 4 * MAGNITUDE_BUCKETS);
    const counts = new Uint32Array(tables.subarray(0, MAGNITUDE_BUCKETS));
    for (let i = MAGNITUDE_BUCKETS; i < tables.length; i++) counts[i % MAGNITUDE_BUCKETS]! += tables[i]!;
    return counts;
  }

  /**
   * Writes the places of the values with bits of |value| from `least` on, ascending, to `out`, which has room for all.
   *
   * @returns how many there are
   */
  placesFromMagnitude(values: Float32Array, least: number, out: Uint32Array): number {
    const { kernels, bytes } = this.#open();
    let found = 0;
    this.#each(values.length, 1, (from, n) => {
      this.#put(FLOATS_AT, values.subarray(from, from + n));
      const places = kernels.placesFromMagnitude(FLOATS_AT, n, least, CODES_AT);
      const piece = new Uint32Array(bytes.buffer, CODES_AT, places);
      for (let i = 0; i < places; i++) out[found++] = from + piece[i]!;
    });
    return found;
  }

  /** Rounded to nearest, ties to even; NaN stays NaN. */
  toBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
    const { kernels } = this.#open();
    const coded = new Uint16Array(values.length);
    this.#each(values.length, 1, (from, n) => {
      this.#put(FLOATS_AT, values.subarray(from, from + n));
      kernels.toBfloat16(FLOATS_AT, n, CODES_AT);
      this.#take(CODES_AT, coded.subarray(from, from + n));
    });
    return coded;
  }

  /** Exact. */
  fromBfloat16(coded: Uint16Array): Float32Array<ArrayBuffer> {
    const { kernels } = this.#open();
    const values = new Float32Array(coded.length);
    this.#each(coded.length, 1, (from, n) => {
      this.#put(CODES_AT, coded.subarray(from, from + n));
      kernels.fromBfloat16(CODES_AT, n, FLOATS_AT);
      this.#take(FLOATS_AT, values.subarray(from, from + n));
    });
    return values;
  }

  /**
   * Codes each row on its own, in 256 even steps from its least to its greatest value: scale f32, minimum f32, a
   * byte a value, padded to a multiple of 4 with zeros. A row that is not finite comes back as NaN.
   *
   * @param values shape [rows, dim]
   * @throws {RangeError} a dim or a length that is none
   */
  toInt8Rows(values: Float32Array, dim: number): Uint8Array<ArrayBuffer> {
    checkDim(dim);
    const rows = values.length / dim;
    if (!Number.isInteger(rows)) throw new RangeError(`${values.length} values are no whole rows of ${dim}`);
    const { kernels } = this.#open();
    const rowBytes = int8RowBytes(dim);
    const coded = new Uint8Array(rows * rowBytes);
    this.#each(rows, dim, (from, n) => {
      this.#put(FLOATS_AT, values.subarray(from * dim, (from + n) * dim));
      kernels.toInt8Rows(FLOATS_AT, n, dim, CODES_AT);
      this.#take(CODES_AT, coded.subarray(from * rowBytes, (from + n) * rowBytes));
    });
    return coded;
  }

  /**
   * Reads what {@link toInt8Rows} wrote: minimum + scale · byte.
   *
   * @returns shape [rows, dim]
   * @throws {RangeError} a dim that is none, or bytes that are not those of `rows` rows
   */
  fromInt8Rows(coded: Uint8Array, dim: number, rows: number): Float32Array<ArrayBuffer> {
    checkDim(dim);
    const rowBytes = int8RowBytes(dim);
    if (coded.length !== rows * rowBytes) {
      throw new RangeError(`${rows} int8 rows of ${dim} values are ${rows * rowBytes} bytes, not ${coded.length}`);
    }
    const { kernels } = this.#open();
    const values = new Float32Array(rows * dim);
    this.#each(rows, dim, (from, n) => {
      this.#put(CODES_AT, coded.subarray(from * rowBytes, (from + n) * rowBytes));
      kernels.fromInt8Rows(CODES_AT, n, dim, FLOATS_AT);
      this.#take(FLOATS_AT, values.subarray(from * dim, (from + n) * dim));
    });
    return values;
  }

  #open(): { readonly kernels: Kernels; readonly bytes: Uint8Array } {
    if (this.#opened === undefined) {
      const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
      this.#opened = { kernels: openKernels(memory), bytes: new Uint8Array(memory.buffer) };
    }
    return this.#opened;
  }

  /** Calls for each piece of `rows` rows of `dim` floats: its first row and how many it has. */
  #each(rows: number, dim: number, piece: (from: number, n: number) => void): void {
    const most = Math.max(1, Math.floor(PIECE_FLOATS / dim));
    for (let from = 0; from < rows; from += most) piece(from, Math.min(most, rows - from));
  }

  #put(at: number, piece: Float32Array | Uint16Array | Uint8Array): void {
    this.#open().bytes.set(bytesOf(piece), at);
  }

  #take(at: number, piece: Float32Array | Uint16Array | Uint8Array): void {
    bytesOf(piece).set(this.#open().bytes.subarray(at, at + piece.byteLength));
  }
}

/** Bytes of one row of int8 values: a multiple of 4. */
export function int8RowBytes(dim: number): number {
  return INT8_HEADER_BYTES + 4 * Math.ceil(dim / 4);
}

function bytesOf(view: Float32Array | Uint16Array | Uint8Array): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function checkDim(dim: number): void {
  if (Number.isInteger(dim) && dim >= 1 && dim <= LIMITS.dimMax) return;
  throw new RangeError(`dim is ${dim}: rows have 1 to ${LIMITS.dimMax} values`);
}
