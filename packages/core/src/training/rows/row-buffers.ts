/**
 * The arrays that pulled rows land in, used again from step to step: a step of nine megabytes would have the system
 * clear fresh pages for each. A buffer is given back when its step's rows are gathered, and never handed to a tensor,
 * which may go on reading it.
 */
import { LIMITS } from "../../limits.ts";

export class RowBuffers {
  readonly #kept: Float32Array[] = [];

  /** At least so many floats, whose contents are whatever was there before. */
  take(floats: number): Float32Array {
    const at = this.#kept.findIndex(({ length }) => length >= floats);
    if (at >= 0) return this.#kept.splice(at, 1)[0]!;
    return new Float32Array(Math.ceil(floats * ROOM));
  }

  give(buffer: Float32Array): void {
    this.#kept.push(buffer);
    // The longest stay: steps differ a little in size.
    this.#kept.sort((a, b) => b.length - a.length);
    this.#kept.length = Math.min(this.#kept.length, LIMITS.rowBuffersKept);
  }
}

/** A quarter more than asked for. */
const ROOM = 1.25;
