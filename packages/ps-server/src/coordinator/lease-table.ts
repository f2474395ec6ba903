/**
 * Leases over a range of work: every unit is finished exactly once, whoever dies. Pure; ids and order are
 * deterministic. A holder that is lost gives its unfinished units back to the front of the queue.
 */
import { assert } from "@volary/core/errors";

export interface Lease {
  readonly lease: number;
  readonly holder: number;
  from: number;
  readonly to: number;
}

interface Range {
  from: number;
  to: number;
}

export class LeaseTable {
  readonly total: number;
  #pending: Range[];
  readonly #leased = new Map<number, Lease>();
  #finished = 0;
  #nextLease: number;

  /** Units `from` to `to - 1` are to be done. @param o.firstLease the number of the first lease */
  constructor({ from, to, firstLease = 1 }: Range & { firstLease?: number }) {
    assert(from <= to, `lease table from ${from} to ${to}`);
    this.total = to - from;
    this.#nextLease = firstLease;
    this.#pending = from < to ? [{ from, to }] : [];
  }

  /** The number of the next lease. */
  get nextLease(): number {
    return this.#nextLease;
  }

  get finished(): number {
    return this.#finished;
  }

  get done(): boolean {
    return this.#finished === this.total;
  }

  /** The first unit that is neither leased nor finished. */
  get next(): number | undefined {
    return this.#pending[0]?.from;
  }

  /** Leases up to `unitsMax` units that lie side by side, or nothing when none is pending. */
  acquire({ holder, unitsMax }: { holder: number; unitsMax: number }): Lease | undefined {
    const range = this.#pending[0];
    if (!range) return undefined;
    const to = Math.min(range.to, range.from + unitsMax);
    const lease: Lease = { lease: this.#nextLease++, holder, from: range.from, to };
    if (to === range.to) this.#pending.shift();
    else range.from = to;
    this.#leased.set(lease.lease, lease);
    return lease;
  }

  /** What a holder has leased first of what it has not finished. */
  heldBy({ holder }: { holder: number }): Lease | undefined {
    return [...this.#leased.values()].find((held) => held.holder === holder);
  }

  /** Who holds a lease, if it is neither finished nor given back. */
  holderOf({ lease }: { lease: number }): number | undefined {
    return this.#leased.get(lease)?.holder;
  }

  /** Marks a whole lease finished; false when it is not held any more (finished before, or given back). */
  finish({ lease }: { lease: number }): boolean {
    const held = this.#leased.get(lease);
    if (!held) return false;
    this.#finished += held.to - held.from;
    this.#leased.delete(lease);
    return true;
  }

  /** Marks every leased or pending unit below `to` finished: a step log knows how far it got. */
  finishBelow(to: number): void {
    for (const held of this.#leased.values()) {
      const done = Math.min(held.to, Math.max(held.from, to)) - held.from;
      this.#finished += done;
      held.from += done;
      if (held.from === held.to) this.#leased.delete(held.lease);
    }
    for (const range of this.#pending) {
      const done = Math.min(range.to, Math.max(range.from, to)) - range.from;
      this.#finished += done;
      range.from += done;
    }
    this.#pending = this.#pending.filter((range) => range.from < range.to);
  }

  /** All that are leased and not finished, by number. */
  get leased(): Iterable<Lease> {
    return this.#leased.values();
  }

  /** Gives back everything `holder` has not finished. */
  release({ holder }: { holder: number }): void {
    for (const held of this.#leased.values()) {
      if (held.holder !== holder) continue;
      this.#leased.delete(held.lease);
      this.#pending.push({ from: held.from, to: held.to });
    }
    this.#pending.sort((a, b) => a.from - b.from);
  }
}
