/**
 * What became of a table's vocabulary in one step: which keys got a row, and which lost theirs. The head of a chain
 * decides, these records say what, and its replicas follow them, so that all have the same rows, bit for bit.
 */
import { ProtocolError } from "../errors.ts";
import { KeyIndex } from "./key-index.ts";
import { sortKeys } from "./key-order.ts";

/** Of one table in one partition; keys are little-endian u32 pairs, ascending. */
export interface VocabularyRecord {
  readonly step: number;
  readonly table: number;
  /** Keys that got a row while the step was applied; empty where the table admits every key. */
  readonly admitted: Uint32Array<ArrayBuffer>;
  /** Keys that lost their row after it. */
  readonly evicted: Uint32Array<ArrayBuffer>;
}

/** Keys of one table that lost their rows. */
export interface TableTombstones {
  readonly table: number;
  /** Little-endian u32 pairs, ascending. A key that came back is among them, and has a row. */
  readonly keys: Uint32Array<ArrayBuffer>;
}

export type TombstonesAnswer =
  | { readonly kind: "complete"; readonly tables: readonly TableTombstones[] }
  /** What was evicted after `completeSince` alone is known: only a full copy of the rows tells which are gone. */
  | { readonly kind: "incomplete"; readonly completeSince: number };

/** Words of one: the step after which the row went, the table, and the key. */
const WORDS = 4;
const FIRST = 64;

/**
 * The keys that lost their rows, for incremental checkpoints: rows that are gone are not among those that changed.
 * Kept until they are forgotten; where there are too many, the oldest are dropped.
 */
export class Tombstones {
  readonly #max: number;
  /** A ring, in the order of the steps. */
  #words = new Uint32Array(0);
  #first = 0;
  #count = 0;
  #completeSince = 0;

  /** @param o.max keys that are kept at a time */
  constructor({ max }: { max: number }) {
    this.#max = max;
  }

  /** Notes the keys that lost their rows; steps do not go backwards. */
  add({ step, table, evicted }: VocabularyRecord): void {
    for (let at = 0; at < evicted.length; at += 2) {
      if (this.#count === this.#max) {
        this.#completeSince = this.#words[this.#at(0)]!;
        this.#drop(1);
      } else if (this.#count * WORDS === this.#words.length) this.#grow();
      const end = this.#at(this.#count++);
      this.#words[end] = step;
      this.#words[end + 1] = table;
      this.#words[end + 2] = evicted[at]!;
      this.#words[end + 3] = evicted[at + 1]!;
    }
  }

  /** The keys that lost their rows after a step later than `step`, by table. */
  since(step: number): TombstonesAnswer {
    if (step < this.#completeSince) return { kind: "incomplete", completeSince: this.#completeSince };
    const tables = new Map<number, KeyIndex>();
    for (let i = this.#countUpTo(step); i < this.#count; i++) {
      const [, table, lo, hi] = this.#words.subarray(this.#at(i)) as unknown as [number, number, number, number];
      const keys = tables.get(table) ?? new KeyIndex();
      tables.set(table, keys);
      if (keys.find(lo, hi) < 0) keys.insert(lo, hi);
    }
    return { kind: "complete", tables: [...tables].toSorted(([a], [b]) => a - b).map(tombstonesOf) };
  }

  /** Drops what is of `step` and before: no one will ask since an earlier step. */
  forget(step: number): void {
    this.#drop(this.#countUpTo(step));
    this.#completeSince = Math.max(this.#completeSince, step);
  }

  /** A copy of all there is, as words. */
  snapshot(): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(1 + WORDS * this.#count);
    words[0] = this.#completeSince;
    for (let i = 0; i < this.#count; i++)
      words.set(this.#words.subarray(this.#at(i), this.#at(i) + WORDS), 1 + WORDS * i);
    return words;
  }

  /**
   * Becomes as what a snapshot was taken of.
   *
   * @throws {ProtocolError} no snapshot of tombstones
   */
  restore(words: Uint32Array): void {
    const count = (words.length - 1) / WORDS;
    if (!(Number.isInteger(count) && count >= 0 && count <= this.#max))
      throw new ProtocolError(
        `${words.length} words of tombstones: one, and ${WORDS} for each of at most ${this.#max}`,
      );
    this.#completeSince = words[0]!;
    this.#words = words.slice(1);
    this.#first = 0;
    this.#count = count;
  }

  bytes(): number {
    return this.#words.byteLength;
  }

  #at(i: number): number {
    return (WORDS * (this.#first + i)) % this.#words.length;
  }

  #countUpTo(step: number): number {
    let n = 0;
    while (n < this.#count && this.#words[this.#at(n)]! <= step) n++;
    return n;
  }

  #drop(n: number): void {
    this.#count -= n;
    this.#first = this.#count === 0 ? 0 : (this.#first + n) % (this.#words.length / WORDS);
  }

  #grow(): void {
    const words = new Uint32Array(WORDS * Math.min(this.#max, Math.max(FIRST, 2 * this.#count)));
    for (let i = 0; i < this.#count; i++) words.set(this.#words.subarray(this.#at(i), this.#at(i) + WORDS), WORDS * i);
    this.#words = words;
    this.#first = 0;
  }
}

function tombstonesOf([table, index]: [number, KeyIndex]): TableTombstones {
  const keys = index.entries.slice(0, 2 * index.count);
  sortKeys(keys);
  return { table, keys };
}
