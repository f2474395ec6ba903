/**
 * Memory of records that are passed on, used again once they are acknowledged: pushes of megabytes would have the
 * collector at work all the time.
 */
import { LIMITS } from "@volary/core/limits";

/** Room for as much as was asked for before is kept for the next. */
const ROOM = 1.25;

/** Memory that some records share; it comes back when all of them are acknowledged. */
export class RecordLease {
  readonly keys: Uint32Array;
  readonly values: Float32Array;
  readonly #memory: RecordMemory;
  readonly #buffer: ArrayBuffer;
  #records = 0;

  constructor(memory: RecordMemory, buffer: ArrayBuffer, o: { keys: Uint32Array; values: Float32Array }) {
    this.#memory = memory;
    this.#buffer = buffer;
    this.keys = new Uint32Array(buffer, 0, o.keys.length);
    this.values = new Float32Array(buffer, 4 * o.keys.length, o.values.length);
    this.keys.set(o.keys);
    this.values.set(o.values);
  }

  /** One more record has a part of it. */
  hold(): this {
    this.#records++;
    return this;
  }

  /** A record of it is acknowledged. */
  release(): void {
    if (--this.#records === 0) this.#memory.give(this.#buffer);
  }
}

export class RecordMemory {
  readonly #kept: ArrayBuffer[] = [];

  /** Copies keys and values. What is never released is just not used again. */
  lease(of: { keys: Uint32Array; values: Float32Array }): RecordLease {
    const bytes = of.keys.byteLength + of.values.byteLength;
    const at = this.#kept.findIndex(({ byteLength }) => byteLength >= bytes);
    const buffer = at < 0 ? new ArrayBuffer(4 * Math.ceil((ROOM * bytes) / 4)) : this.#kept.splice(at, 1)[0]!;
    return new RecordLease(this, buffer, of);
  }

  give(buffer: ArrayBuffer): void {
    this.#kept.push(buffer);
    if (this.#kept.length > LIMITS.recordBuffersKept) this.#kept.shift();
  }
}
