/**
 * From a batch's key fields to the key lists of its frames: each key of a table once, grouped by the node and the
 * partition that own it, ascending within (ps-lite's contract: keys unique and ascending).
 *
 * A step asks for 24 × 2048 keys and more, so this is typed arrays throughout: open addressing finds the unique
 * keys (a Map takes seven times as long), a stable radix sort orders them.
 *
 * Shapes: F uses, B samples, T tables, U unique keys, P partitions, S segments, n occurrences of keys, M masked
 * places. A key is two u32 words, low first.
 */
import { assert } from "../errors.ts";
import { fillAscending, sortByClass, sortByWord, type NumberOrder } from "../radix-sort.ts";
import { placesOf, type KeyPlacement, type KeyPlan, type NodeKeys, type Places } from "./key-plan.ts";
import { laidOut, masksOf } from "./occurrence-lists.ts";
import { floatsOf, occurrencesOf, type Occurrences, type RowUse, type UseKeys } from "./row-use.ts";

/** Rows that every batch needs, whatever its samples: the dense variables, where they are rows. */
export interface AsideRows {
  readonly table: number;
  readonly dim: number;
  /** 64-bit keys as little-endian u32 pairs, each once. */
  readonly keys: Uint32Array;
}

const NO_KEYS = new Uint32Array(0);

/** Finds the unique keys of batches of one model. Scratch space is kept; what it returns belongs to the caller. */
export class UniqueKeys {
  readonly #uses: readonly RowUse[];
  readonly #aside: AsideRows | undefined;
  readonly #tables: Uint32Array;
  readonly #dims: Uint32Array;
  readonly #widths: Uint32Array;
  readonly #pooled: Uint8Array;
  /** Width of a table's rows, shape [T]. */
  readonly #dimOfTable: Uint32Array;
  /** Uses of each table, as positions in `uses`. */
  readonly #usesOfTable: readonly (readonly number[])[];
  #scratch = newScratch(0);

  /**
   * @param aside rows of a table that no use has, which every batch needs beside its own
   * @throws {RangeError} a table used with two widths
   */
  constructor(uses: readonly RowUse[], aside?: AsideRows) {
    this.#uses = uses;
    this.#aside = aside;
    const all = aside ? [...uses, aside] : uses;
    this.#tables = Uint32Array.from(new Set(all.map(({ table }) => table))).toSorted();
    this.#dims = Uint32Array.from(uses, ({ dim }) => dim);
    this.#widths = Uint32Array.from(uses, floatsOf);
    this.#pooled = Uint8Array.from(uses, ({ usage }) => (usage?.kind === "pooled" ? 1 : 0));
    this.#usesOfTable = Array.from(this.#tables, (id) => all.flatMap(({ table }, f) => (table === id ? [f] : [])));
    this.#dimOfTable = Uint32Array.from(this.#usesOfTable, (fs) => all[fs[0]!]!.dim);
    for (const [t, fs] of this.#usesOfTable.entries()) {
      const odd = fs.find((f) => all[f]!.dim !== this.#dimOfTable[t]);
      if (odd === undefined) continue;
      throw new RangeError(
        `table ${this.#tables[t]} is used with rows of ${this.#dimOfTable[t]} and of ${all[odd]!.dim} floats`,
      );
    }
  }

  /**
   * The unique keys of a batch, in frame order.
   *
   * @param keys of each use, shape [F]; two uses may share their arrays
   * @throws {RangeError} arrays that do not fit the uses
   */
  collect({
    keys,
    samples,
    placement,
  }: {
    keys: readonly UseKeys[];
    samples: number;
    placement: KeyPlacement;
  }): KeyPlan {
    if (keys.length !== this.#uses.length) {
      throw new RangeError(`got keys of ${keys.length} uses; the model has ${this.#uses.length}`);
    }
    const read = keys.map((use, f) => occurrencesOf({ usage: this.#uses[f]!.usage, use, samples, place: `use ${f}` }));
    const aside = this.#aside ? [{ keys: this.#aside.keys }] : [];
    const starts = startsOf([...read, ...aside]);
    if (this.#scratch.capacity < starts.at(-1)!) this.#scratch = newScratch(starts.at(-1)!);
    const unique = this.#findUnique([...read, ...aside], starts);
    const places = placesOf(placement);
    placeKeys(this.#scratch, unique, placement, places.rankOf);
    const segmentCounts = this.#sort(unique, places.partitionAt.length);
    return {
      samples,
      dims: this.#dims,
      widths: this.#widths,
      pooled: this.#pooled,
      tables: this.#tables,
      ...this.#frames({ unique, placement, places, segmentCounts }),
      ...laidOut({ read, starts, samples, found: this.#scratch }),
      asideOffsets: asideOffsetsOf(this.#scratch, starts[read.length]!, this.#aside?.keys ?? NO_KEYS),
      masks: masksOf(this.#uses, read, samples),
    };
  }

  /** Fills the unique keys and each occurrence's index among them; returns how many there are. */
  #findUnique(read: readonly Pick<Occurrences, "keys">[], starts: readonly number[]): number {
    const s = this.#scratch;
    let unique = 0;
    for (const [t, uses] of this.#usesOfTable.entries()) {
      // One small hash table per embedding table stays in the cache.
      const mask = slotsFor(uses.reduce((n, f) => n + read[f]!.keys.length / 2, 0)) - 1;
      s.slots.fill(0, 0, mask + 1);
      const before = unique;
      for (const f of uses) unique = dedup(read[f]!.keys, s, starts[f]!, mask, unique);
      s.table.fill(t, before, unique);
    }
    return unique;
  }

  /** Orders `scratch.order` by (rank of the partition, table, key); returns the keys of each rank. */
  #sort(unique: number, ranks: number): Uint32Array {
    const s = this.#scratch;
    fillAscending(s.order, unique);
    sortByWord(s, s.lo, unique);
    sortByWord(s, s.hi, unique);
    sortByClass(s, s.table, unique, this.#tables.length);
    return sortByClass(s, s.rank, unique, ranks);
  }

  #frames(o: {
    unique: number;
    placement: KeyPlacement;
    places: Places;
    segmentCounts: Uint32Array;
  }): Pick<KeyPlan, "nodes" | "uniqueKeys" | "rowFloats"> {
    const { unique, placement, places, segmentCounts } = o;
    const s = this.#scratch;
    const T = this.#tables.length;
    const keys = new Uint32Array(2 * unique);
    const rowFloats = emitKeys(s, unique, this.#dimOfTable, keys);
    const nodes: NodeKeys[] = [];
    let at = 0;
    for (let node = 0; node < placement.nodes; node++) {
      const firstRank = places.firstRank[node]!;
      const ranks = segmentCounts.subarray(firstRank, places.firstRank[node + 1]);
      const first = at;
      const partitions: number[] = [];
      for (const [i, count] of ranks.entries()) {
        at += count;
        if (count > 0) partitions.push(places.partitionAt[firstRank + i]!);
      }
      const counts = new Uint32Array(partitions.length * T);
      countTables(s, first, at, T, counts);
      const floatsBefore = (i: number): number => (i < unique ? s.offset[s.order[i]!]! : rowFloats);
      nodes.push({
        partitions: Uint32Array.from(partitions),
        counts,
        keys: keys.subarray(2 * first, 2 * at),
        from: floatsBefore(first),
        to: floatsBefore(at),
      });
    }
    assert(at === unique, `${unique} unique keys, ${at} of them placed`);
    return { nodes, uniqueKeys: unique, rowFloats };
  }
}

/** Where each use's occurrences begin in the scratch space, shape [F + 1]. */
function startsOf(read: readonly Pick<Occurrences, "keys">[]): number[] {
  const starts = [0];
  for (const { keys } of read) starts.push(starts.at(-1)! + keys.length / 2);
  return starts;
}

/** Space for `capacity` occurrences; unique keys are at most as many. */
interface Scratch extends NumberOrder {
  capacity: number;
  /** Open addressing: 1 + index of a unique key, or 0. */
  slots: Uint32Array;
  /** Index among the unique keys, use by use, shape [n]. */
  occurrence: Uint32Array;
  lo: Uint32Array;
  hi: Uint32Array;
  /** Position of the key's table in `tables`. */
  table: Uint32Array;
  rank: Uint32Array;
  /** Where the key's row begins in the flat row buffer. */
  offset: Uint32Array;
}

function newScratch(capacity: number): Scratch {
  const words = (): Uint32Array => new Uint32Array(capacity);
  return {
    capacity,
    slots: new Uint32Array(slotsFor(capacity)),
    occurrence: words(),
    lo: words(),
    hi: words(),
    table: words(),
    rank: words(),
    offset: words(),
    order: words(),
    spare: words(),
  };
}

/** At most half full. */
function slotsFor(keys: number): number {
  return powerOfTwo(2 * keys);
}

function powerOfTwo(atLeast: number): number {
  return atLeast <= 1 ? 1 : 2 ** Math.ceil(Math.log2(atLeast));
}

// -- the loops -----------------------------------------------------------------------------------------------

/** Enters keys into the hash table; `count` unique ones were there before. Returns how many are now. */
function dedup(keys: Uint32Array, s: Scratch, at: number, mask: number, count: number): number {
  const { slots, occurrence, lo: los, hi: his } = s;
  const n = keys.length >>> 1;
  for (let i = 0; i < n; i++) {
    const lo = keys[2 * i]!;
    const hi = keys[2 * i + 1]!;
    let h = Math.imul(lo ^ (hi >>> 15), 0x9e3779b1) ^ Math.imul(hi, 0x85ebca77);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    let slot = (h ^ (h >>> 13)) & mask;
    let entry = slots[slot]!;
    while (entry !== 0 && (los[entry - 1] !== lo || his[entry - 1] !== hi)) {
      slot = (slot + 1) & mask;
      entry = slots[slot]!;
    }
    if (entry === 0) {
      los[count] = lo;
      his[count] = hi;
      entry = ++count;
      slots[slot] = entry;
    }
    occurrence[at + i] = entry - 1;
  }
  return count;
}

function placeKeys(s: Scratch, unique: number, placement: KeyPlacement, rankOf: Uint32Array): void {
  const { lo, hi, rank } = s;
  for (let u = 0; u < unique; u++) {
    const partition = placement.partitionOf(lo[u]!, hi[u]!);
    const place = rankOf[partition];
    if (place === undefined)
      throw new RangeError(`partitionOf gave ${partition}; there are ${rankOf.length} partitions`);
    rank[u] = place;
  }
}

/** Writes the keys in order and where their rows begin; returns the floats of all rows. */
function emitKeys(
  { order, lo, hi, table, offset }: Scratch,
  unique: number,
  dims: Uint32Array,
  keys: Uint32Array,
): number {
  let floats = 0;
  for (let i = 0; i < unique; i++) {
    const u = order[i]!;
    keys[2 * i] = lo[u]!;
    keys[2 * i + 1] = hi[u]!;
    offset[u] = floats;
    floats += dims[table[u]!]!;
  }
  return floats;
}

/** Counts the keys of each segment by table; a segment begins where the rank changes. */
function countTables(
  { order, rank, table }: Scratch,
  first: number,
  end: number,
  T: number,
  counts: Uint32Array,
): void {
  let segment = -1;
  let current = -1;
  for (let i = first; i < end; i++) {
    const u = order[i]!;
    if (rank[u] !== current) {
      current = rank[u]!;
      segment++;
    }
    counts[segment * T + table[u]!]!++;
  }
}

/** Where the rows beside those of samples begin, in the order of their keys; their occurrences begin at `start`. */
function asideOffsetsOf({ occurrence, offset }: Scratch, start: number, keys: Uint32Array): Uint32Array {
  const offsets = new Uint32Array(keys.length >>> 1);
  for (let i = 0; i < offsets.length; i++) offsets[i] = offset[occurrence[start + i]!]!;
  return offsets;
}
