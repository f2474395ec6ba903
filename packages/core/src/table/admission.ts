/**
 * Which keys get a row: with an {@link AdmissionSpec}, those that were pushed often enough. Most keys of a long tail
 * are seen once or twice, and their rows would cost memory and learn nothing (Monolith, Liu et al. 2022, arXiv
 * 2209.07663, §2.2.2; DeepRec's EmbeddingVariable with a CounterFilter or CBFFilter).
 *
 * The pushes before are counted and their gradients dropped: until it has a row, a key reads as its initial value. A
 * read counts nothing.
 */
import { assert } from "../errors.ts";
import { CountingBloom } from "./counting-bloom.ts";
import { KeyCounter } from "./key-counter.ts";
import { compareKeys } from "./key-order.ts";
import type { AdmissionSpec } from "./table-spec.ts";

/** Decides for one table in one partition. Keys are u32 pairs, ascending, some of which have no row. */
export interface Admission {
  /**
   * Takes one push of each of `n` keys that have no row.
   *
   * @param absent numbers of pairs of `keys`, ascending, shape [n]; those that get no row yet come first afterwards,
   *   ascending
   * @returns how many get none yet
   */
  refuse(keys: Uint32Array, absent: Uint32Array, n: number): number;
  /** How many of `n` keys that have no row would get one if they were pushed now; counts nothing. */
  admissible(keys: Uint32Array, absent: Uint32Array, n: number): number;
  /** The keys that were admitted since the last call, u32 pairs in the order of the pushes. */
  takeAdmitted(): Uint32Array<ArrayBuffer>;
  /** Memory it takes. */
  bytes(): number;
}

/** Counts of keys that have no row. */
export interface KeyCounts {
  /** How often a key was counted. */
  count(lo: number, hi: number): number;
  /** Counts a key once more and gives its count. */
  add(lo: number, hi: number): number;
  /** A key got a row, and waits no longer. */
  forget(lo: number, hi: number): void;
  /** Memory it takes. */
  bytes(): number;
}

/** Admits keys after a number of pushes. */
export class CountedAdmission implements Admission {
  readonly #updates: number;
  readonly #counts: KeyCounts;
  #admitted: number[] = [];

  /** @param o.partitions of the table, which has an equal share of the counter in each */
  constructor({ updates, counter }: AdmissionSpec, { partitions }: { partitions: number }) {
    this.#updates = updates;
    this.#counts =
      counter.kind === "exact"
        ? new KeyCounter({ keysMax: Math.ceil(counter.keysMax / partitions) })
        : new CountingBloom({
            keys: Math.ceil(counter.keys / partitions),
            falsePositives: counter.falsePositives,
          });
  }

  refuse(keys: Uint32Array, absent: Uint32Array, n: number): number {
    let refused = 0;
    for (let i = 0; i < n; i++) {
      const pair = absent[i]!;
      const lo = keys[2 * pair]!;
      const hi = keys[2 * pair + 1]!;
      if (this.#counts.add(lo, hi) < this.#updates) absent[refused++] = pair;
      else {
        this.#counts.forget(lo, hi);
        this.#admitted.push(lo, hi);
      }
    }
    return refused;
  }

  admissible(keys: Uint32Array, absent: Uint32Array, n: number): number {
    let admissible = 0;
    for (let i = 0; i < n; i++) {
      const pair = absent[i]!;
      if (this.#counts.count(keys[2 * pair]!, keys[2 * pair + 1]!) + 1 >= this.#updates) admissible += 1;
    }
    return admissible;
  }

  takeAdmitted(): Uint32Array<ArrayBuffer> {
    const admitted = Uint32Array.from(this.#admitted);
    this.#admitted = [];
    return admitted;
  }

  bytes(): number {
    return this.#counts.bytes();
  }
}

/** Admits the keys that another one admitted: a replica follows the head of its chain, and counts nothing. */
export class FollowedAdmission implements Admission {
  #expected = new Uint32Array(0);
  #done = 0;

  /** @param keys that are admitted by the calls until {@link takeAdmitted}, u32 pairs, ascending */
  expect(keys: Uint32Array<ArrayBuffer>): void {
    this.#expected = keys;
    this.#done = 0;
  }

  refuse(keys: Uint32Array, absent: Uint32Array, n: number): number {
    let refused = 0;
    for (let i = 0; i < n; i++) {
      const isExpected =
        2 * this.#done < this.#expected.length && compareKeys(keys, absent[i]!, this.#expected, this.#done) === 0;
      if (isExpected) this.#done += 1;
      else absent[refused++] = absent[i]!;
    }
    return refused;
  }

  admissible(_keys: Uint32Array, _absent: Uint32Array, n: number): number {
    return n;
  }

  takeAdmitted(): Uint32Array<ArrayBuffer> {
    assert(2 * this.#done === this.#expected.length, "the keys that a head admitted were pushed to its replica, too");
    const admitted = this.#expected;
    this.expect(new Uint32Array(0));
    return admitted;
  }

  bytes(): number {
    return 0;
  }
}
