/**
 * The rows of one pull, as its reply brings them part by part: each part is put straight to its place among the rows
 * of the whole step or request.
 */
import { decodeRows } from "../compression/index.ts";
import { ProtocolError } from "../errors.ts";
import { KernelMemory } from "../kernels/index.ts";
import type { Frame } from "../wire/index.ts";

/** Holds nothing between two calls. */
const KERNELS = new KernelMemory();

export interface PulledRowsOptions {
  /** Where they go: float32, shape [floats of all rows], in key order. */
  readonly rows: Float32Array;
  /** Rows of segment s in table t, shape [S, T], as the pull says. */
  readonly counts: Uint32Array;
  /** Width of each table's rows, shape [T]. */
  readonly dims: Uint32Array;
}

export class PulledRows {
  readonly #o: PulledRowsOptions;
  #closed = false;
  #whole = false;
  /** Where the part that comes next begins, or after it. */
  #next = 0;
  #missing = false;
  #taken = 0;

  constructor(o: PulledRowsOptions) {
    this.#o = o;
  }

  /** float32, in key order. */
  get rows(): Float32Array {
    return this.#o.rows;
  }

  /** Is every row there? */
  get whole(): boolean {
    return this.#whole;
  }

  /** Values that came so far, repeats among them. */
  get taken(): number {
    return this.#taken;
  }

  /** What still comes is not taken any more: the rows belong to somebody else now. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Takes the next part of a reply, or the first one of a reply that was asked for again.
   *
   * @returns the part is the last one, and every row is there
   * @throws {ProtocolError} a part that does not belong there
   */
  take(part: Frame): boolean {
    if (this.#closed) return false;
    const { rows } = this.#o;
    const { cursor, partial, partitions } = part;
    if (cursor === 0) {
      this.#next = 0;
      this.#missing = false;
      this.#whole = false;
    }
    const values = part.dtype === "float32" ? part.values : this.#decoded(part);
    const end = cursor + values.length;
    if (cursor < this.#next || end > rows.length) {
      throw new ProtocolError(
        `a part of a pull reply carries values ${cursor} to ${end} where ${this.#next} to ${rows.length} are wanted`,
      );
    }
    // Segments that are stale leave gaps, and are named in the last part.
    if (cursor > this.#next) this.#missing = true;
    rows.set(values, cursor);
    this.#taken += values.length;
    this.#next = end;
    if (partial) return false;
    const isWhole = end === rows.length && !this.#missing;
    this.#next = 0; // what comes after the last part is an answer of its own
    this.#missing = false;
    if (partitions.length > 0) return false;
    if (isWhole) return (this.#whole = true);
    throw new ProtocolError(`a pull reply ends at value ${end}, its keys need ${rows.length}`);
  }

  #decoded({ coded, cursor, dtype }: Frame): Float32Array {
    const { counts, dims } = this.#o;
    try {
      return decodeRows(KERNELS, coded, { dtype, counts, dims, first: cursor });
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new ProtocolError(`a part of a pull reply does not fit its keys: ${cause.message}`, { cause });
    }
  }
}
