/**
 * Which parts of an address range are free: extents in address order, neighbours joined. The first extent that is
 * long enough is cut, so the range stays dense. Sizes are rounded up to 32 bytes.
 */
import { assert } from "../errors.ts";

const GRAIN = 32;

export class Extents {
  /** Bytes taken, as rounded. */
  used = 0;
  readonly #free: { at: number; bytes: number }[];

  constructor({ from, to }: { from: number; to: number }) {
    this.#free = [{ at: from, bytes: to - from }];
  }

  /** @returns the address, or 0 where no free extent is long enough */
  take(bytes: number): number {
    const rounded = extentBytes(bytes);
    const free = this.#free;
    for (let i = 0; i < free.length; i++) {
      const extent = free[i]!;
      if (extent.bytes < rounded) continue;
      const { at } = extent;
      extent.at += rounded;
      extent.bytes -= rounded;
      if (extent.bytes === 0) free.splice(i, 1);
      this.used += rounded;
      return at;
    }
    return 0;
  }

  /** The same from the end of the last extent that is long enough: out of the way of what is taken to stay. */
  takeLast(bytes: number): number {
    const rounded = extentBytes(bytes);
    const free = this.#free;
    for (let i = free.length - 1; i >= 0; i--) {
      const extent = free[i]!;
      if (extent.bytes < rounded) continue;
      extent.bytes -= rounded;
      if (extent.bytes === 0) free.splice(i, 1);
      this.used += rounded;
      return extent.at + extent.bytes;
    }
    return 0;
  }

  give(at: number, bytes: number): void {
    const rounded = extentBytes(bytes);
    const free = this.#free;
    let next = 0;
    for (let end = free.length; next < end;) {
      const middle = (next + end) >>> 1;
      if (free[middle]!.at < at) next = middle + 1;
      else end = middle;
    }
    const before = free[next - 1];
    const after = free[next];
    assert(!before || before.at + before.bytes <= at, "an extent is given back once");
    assert(!after || at + rounded <= after.at, "an extent is given back once");
    this.used -= rounded;
    const joinsBefore = before !== undefined && before.at + before.bytes === at;
    const joinsAfter = after !== undefined && at + rounded === after.at;
    if (joinsBefore) {
      before.bytes += rounded + (joinsAfter ? after.bytes : 0);
      if (joinsAfter) free.splice(next, 1);
    } else if (joinsAfter) {
      after.at = at;
      after.bytes += rounded;
    } else free.splice(next, 0, { at, bytes: rounded });
  }
}

/** Bytes that an extent of `bytes` bytes takes. */
export function extentBytes(bytes: number): number {
  return Math.ceil(bytes / GRAIN) * GRAIN;
}
