/**
 * What a reducer remembers of a volunteer for as long as the job lasts: who leaves and comes again goes on as before, with
 * the patience that is left and the faults that were found. Otherwise a new link would be all that it takes to hold steps
 * up again, or to send what cannot be right without end.
 */
import { LIMITS } from "../../limits.ts";
import type { LeafPace } from "./leaf-pace.ts";

export interface LeafRecord {
  /** Once it has joined. */
  pace: LeafPace | undefined;
  /** Updates that cannot be right. */
  faults: number;
  /** Why it was expelled, if it was. */
  expelled: { code: string; message: string } | undefined;
}

/** Of the volunteers that came last. */
export class LeafRecords {
  readonly #records = new Map<number, LeafRecord>();

  get size(): number {
    return this.#records.size;
  }

  /** The record of a volunteer that comes, a new one the first time. */
  of(volunteer: number): LeafRecord {
    const record = this.#records.get(volunteer) ?? { pace: undefined, faults: 0, expelled: undefined };
    this.#records.delete(volunteer);
    this.#records.set(volunteer, record);
    if (this.#records.size > LIMITS.leafRecordsMax) this.#records.delete(this.#records.keys().next().value!);
    return record;
  }
}
