/**
 * Which keys get a row: with an {@link AdmissionSpec}, those that were pushed often enough. Most keys of a long tail
 * are seen once or twice, and their rows would cost memory and learn nothing (Monolith, Liu et al. 2022, arXiv
 * 2209.07663, §2.2.2; DeepRec's EmbeddingVariable with a CounterFilter or CBFFilter).
 *
 * The pushes before are counted and their gradients dropped: until it has a row, a key reads as its initial value. A
 * read counts nothing.
 *
 * A replica admits the keys that its head admitted, and counts the pushes of the others as the head does, so that its
 * counts are the same. One that is new takes a copy of them, in parts: what is pushed in between it notes, and counts
 * when they are all there.
 */
import { assert, ProtocolError } from "../errors.ts";
import { CountingBloom } from "./counting-bloom.ts";
import { KeyCounter } from "./key-counter.ts";
import { compareKeys } from "./key-order.ts";
import type { AdmissionSpec } from "./table-spec.ts";

/** Counts of keys that have no row. */
export interface KeyCounts {
  /** How often a key was counted. */
  count(lo: number, hi: number): number;
  /** Counts a key once more and gives its count. */
  add(lo: number, hi: number): number;
  /** A key got a row, and waits no longer. */
  forget(lo: number, hi: number): void;
  /** Words that a snapshot may have. */
  readonly snapshotMax: number;
  /** A copy of all there is, as words. */
  snapshot(): Uint32Array<ArrayBuffer>;
  /**
   * Becomes as what a snapshot was taken of.
   *
   * @throws {ProtocolError} no snapshot of counts like these
   */
  restore(words: Uint32Array): void;
  /** Memory it takes. */
  bytes(): number;
}

/** Counts on their way here. */
interface Arriving {
  readonly words: Uint32Array;
  /** Words that are here. */
  filled: number;
  /** Keys pushed since the snapshot was taken, which it does not count. */
  readonly since: number[];
}

const NO_KEYS = new Uint32Array(0);

/** Decides for one table in one partition. Keys are u32 pairs, ascending, some of which have no row. */
export class Admission {
  readonly #updates: number;
  readonly #counts: KeyCounts;
  #admitted: number[] = [];
  /** What a head admitted of the pushes to come, and how many of these keys have come. */
  #expected: Uint32Array<ArrayBuffer> | undefined;
  #done = 0;
  /** Are the counts those of the head? */
  #isWhole = true;
  #arriving: Arriving | undefined;

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

  /**
   * Lets a head decide, which has admitted these keys, until {@link takeAdmitted}.
   *
   * @param keys u32 pairs, ascending
   */
  expect(keys: Uint32Array<ArrayBuffer> = NO_KEYS): void {
    this.#expected = keys;
    this.#done = 0;
  }

  /**
   * Takes one push of each of `n` keys that have no row.
   *
   * @param absent numbers of pairs of `keys`, ascending, shape [n]; those that get no row yet come first afterwards,
   *   ascending
   * @returns how many get none yet
   */
  refuse(keys: Uint32Array, absent: Uint32Array, n: number): number {
    const expected = this.#expected;
    let refused = 0;
    for (let i = 0; i < n; i++) {
      const pair = absent[i]!;
      const lo = keys[2 * pair]!;
      const hi = keys[2 * pair + 1]!;
      let admits = this.#push(lo, hi);
      if (expected) {
        admits = 2 * this.#done < expected.length && compareKeys(keys, pair, expected, this.#done) === 0;
        if (admits) this.#done += 1;
      } else if (admits) this.#admitted.push(lo, hi);
      if (!admits) absent[refused++] = pair;
    }
    return refused;
  }

  /**
   * How many of `n` keys that have no row would get one if they were pushed now, or more where that is not known;
   * counts nothing.
   */
  admissible(keys: Uint32Array, absent: Uint32Array, n: number): number {
    if (!this.#isWhole) return n;
    let admissible = 0;
    for (let i = 0; i < n; i++) {
      const pair = absent[i]!;
      if (this.#counts.count(keys[2 * pair]!, keys[2 * pair + 1]!) + 1 >= this.#updates) admissible += 1;
    }
    return admissible;
  }

  /** The keys that were admitted since the last call, u32 pairs in the order of the pushes. */
  takeAdmitted(): Uint32Array<ArrayBuffer> {
    const expected = this.#expected;
    if (expected) {
      assert(2 * this.#done === expected.length, "the keys that a head admitted were pushed to its replica, too");
      this.#expected = undefined;
      return expected;
    }
    if (this.#admitted.length === 0) return NO_KEYS;
    const admitted = Uint32Array.from(this.#admitted);
    this.#admitted = [];
    return admitted;
  }

  /** A copy of the counts, as words. */
  snapshot(): Uint32Array<ArrayBuffer> {
    return this.#counts.snapshot();
  }

  /** The counts of a head will come, in place of those here. */
  awaitCounts(): void {
    this.#isWhole = false;
  }

  /**
   * Takes the next words of a snapshot.
   *
   * @param o.of words of the whole one
   * @param o.at those that were before
   * @throws {ProtocolError} other words than the next, or no snapshot of counts like these
   */
  takeCounts(words: Uint32Array, { at, of }: { at: number; of: number }): void {
    const { snapshotMax } = this.#counts;
    if (of > snapshotMax) throw new ProtocolError(`${of} words of counts, where there are ${snapshotMax} at most`);
    if (at === 0) this.#arriving = { words: new Uint32Array(of), filled: 0, since: [] };
    const arriving = this.#arriving;
    if (arriving?.filled !== at || arriving.words.length !== of || at + words.length > of)
      throw new ProtocolError(`words ${at} to ${at + words.length} of ${of} of counts, after ${arriving?.filled ?? 0}`);
    arriving.words.set(words, at);
    arriving.filled += words.length;
    if (arriving.filled < of) return;
    this.#counts.restore(arriving.words);
    this.#arriving = undefined;
    this.#isWhole = true;
    const { since } = arriving;
    for (let i = 0; i < since.length; i += 2) this.#push(since[i]!, since[i + 1]!);
  }

  /** Memory it takes. */
  bytes(): number {
    return this.#counts.bytes() + (this.#arriving?.words.byteLength ?? 0);
  }

  /** Counts a push; is it the one that admits its key? Says nothing while the counts are not those of the head. */
  #push(lo: number, hi: number): boolean {
    if (!this.#isWhole) {
      this.#arriving?.since.push(lo, hi);
      return false;
    }
    if (this.#counts.add(lo, hi) < this.#updates) return false;
    this.#counts.forget(lo, hi);
    return true;
  }
}
