/**
 * How often keys were seen that have no row yet, exactly, for a bounded number of them: an index with one count.
 *
 * A full counter ages: it forgets the keys that are no longer waiting, then halves all counts, as often as it takes to
 * have a quarter free; a count that becomes 0 is forgotten. So keys that are rare fall out and frequent ones stay, as
 * in the ageing of TinyLFU (Einziger, Friedman and Manes, ACM TOS 2017, §3.3). What it says depends on the order of
 * the calls alone.
 */
import { ProtocolError } from "../errors.ts";
import type { KeyCounts } from "./admission.ts";
import { KeyIndex } from "./key-index.ts";

/** The word of an index entry behind the key. */
const COUNT = 2;

export class KeyCounter implements KeyCounts {
  readonly #keysMax: number;
  #index = new KeyIndex({ ownWords: 1 });

  /** @param o.keysMax keys that are remembered at a time, 1 or more */
  constructor({ keysMax }: { keysMax: number }) {
    this.#keysMax = keysMax;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#index.count;
  }

  count(lo: number, hi: number): number {
    const row = this.#index.find(lo, hi);
    return row < 0 ? 0 : this.#index.entries[row * this.#index.entryWords + COUNT]!;
  }

  add(lo: number, hi: number): number {
    let row = this.#index.find(lo, hi);
    if (row < 0) {
      if (this.#index.count >= this.#keysMax) this.#age();
      row = this.#index.insert(lo, hi);
    }
    const { entries, entryWords } = this.#index;
    return (entries[row * entryWords + COUNT]! += 1);
  }

  forget(lo: number, hi: number): void {
    const row = this.#index.find(lo, hi);
    if (row >= 0) this.#index.entries[row * this.#index.entryWords + COUNT] = 0;
  }

  get snapshotMax(): number {
    return this.#keysMax * this.#index.entryWords;
  }

  snapshot(): Uint32Array<ArrayBuffer> {
    return this.#index.entries.slice(0, this.#index.count * this.#index.entryWords);
  }

  restore(words: Uint32Array): void {
    const index = new KeyIndex({ ownWords: 1 });
    const { entryWords } = index;
    if (words.length % entryWords !== 0 || words.length > this.snapshotMax)
      throw new ProtocolError(`${words.length} words of a counter of ${this.#keysMax} keys of ${entryWords} words`);
    for (let at = 0; at < words.length; at += entryWords) {
      const [lo, hi] = [words[at]!, words[at + 1]!];
      if (index.find(lo, hi) >= 0) throw new ProtocolError("a key is twice among the counts");
      const row = index.insert(lo, hi);
      index.entries[row * entryWords + COUNT] = words[at + COUNT]!;
    }
    this.#index = index;
  }

  bytes(): number {
    return this.#index.bytes();
  }

  #age(): void {
    this.#rebuild(0);
    while (this.#index.count > (3 / 4) * this.#keysMax) this.#rebuild(1);
  }

  /** Shifts all counts to the right, and keeps the keys whose count is not 0 then. */
  #rebuild(shift: number): void {
    const { entries, entryWords, count } = this.#index;
    const kept = new KeyIndex({ ownWords: 1 });
    for (let at = 0; at < count * entryWords; at += entryWords) {
      const seen = entries[at + COUNT]! >>> shift;
      if (seen === 0) continue;
      const row = kept.insert(entries[at]!, entries[at + 1]!);
      kept.entries[row * entryWords + COUNT] = seen;
    }
    this.#index = kept;
  }
}
