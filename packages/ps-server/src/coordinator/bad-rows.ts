/**
 * The rows that a job's workers left out. A worker that has all the data knows them all; of streamed data each knows
 * those it has read, which in the first epoch are other rows than the others'.
 */
import { LIMITS } from "@volary/core/limits";
import type { BadRowsNews, ControlOf } from "@volary/core/wire";

export class BadRows {
  readonly #byWorker = new Map<number, ControlOf<"bad-rows">>();
  #count = 0;
  #first: string[] = [];

  get news(): BadRowsNews {
    return { count: this.#count, first: this.#first };
  }

  get count(): number {
    return this.#count;
  }

  /** @param o.inFirstEpoch has no row been read for a second epoch? */
  take({ worker, found, inFirstEpoch }: { worker: number; found: ControlOf<"bad-rows">; inFirstEpoch: boolean }): void {
    this.#byWorker.set(worker, found);
    const known = [...this.#byWorker.values()];
    const areOthers = found.scope === "read" && inFirstEpoch;
    const count = areOthers ? known.reduce((sum, { count: each }) => sum + each, 0) : found.count;
    this.#count = Math.max(this.#count, count);
    this.#first = [...new Set([...this.#first, ...found.first])].slice(0, LIMITS.badRowsKept);
  }

  /** What a lost worker had read is read again by others. */
  forget(worker: number): void {
    this.#byWorker.delete(worker);
  }

  /** What to tell of too many bad rows; undefined while they are few enough. */
  fault(badRowsMax: number): string | undefined {
    if (this.#count <= badRowsMax) return undefined;
    const more = this.#count > this.#first.length ? `; and ${this.#count - this.#first.length} more` : "";
    return (
      `${this.#count} rows of the data cannot be used, and badRowsMax allows ${badRowsMax}: ` +
      `${this.#first.join("; ")}${more}. Mend them, fill what is missing with withDefault(…), or raise badRowsMax`
    );
  }
}
