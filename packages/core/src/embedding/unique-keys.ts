/**
 * From a batch's key fields to the key lists of its frames: each key of a table once, grouped by the node and the
 * partition that own it, ascending within (ps-lite's contract: keys unique and ascending).
 *
 * A step asks for 24 × 2048 keys and more, so this is typed arrays throughout: open addressing finds the unique
 * keys (a Map takes seven times as long), a stable radix sort orders them.
 *
 * Shapes: F uses, B samples, T tables, U unique keys, P partitions, S segments. A key is two u32 words, low first.
 */
import { assert } from "../errors.ts";

/** One use of a table by the model: which table a key field reads, and how wide its rows are. */
export interface RowUse {
  /** The table's number on the wire. */
  readonly table: number;
  readonly dim: number;
}

/** Which partition owns a key, and which node serves a partition. */
export interface KeyPlacement {
  /** @returns a number below `nodeOf.length` */
  partitionOf(lo: number, hi: number): number;
  /** Partition → node, shape [P]; nodes count from 0. */
  readonly nodeOf: ArrayLike<number>;
  readonly nodes: number;
}

/** The sections of one node's pull frame, and of its push. */
export interface NodeKeys {
  /** Partitions with at least one key, ascending, shape [S]. */
  readonly partitions: Uint32Array;
  /** Keys of a segment in a table, shape [S, T]. */
  readonly counts: Uint32Array;
  /** Segment by segment, table by table, ascending within; length 2 × keys. */
  readonly keys: Uint32Array;
  /** The node's rows are floats [from, to) of the flat row buffer. */
  readonly from: number;
  readonly to: number;
}

/** Where the rows of a batch are: what {@link UniqueKeys} found out, and what gather and scatter go by. */
export interface KeyPlan {
  readonly samples: number;
  /** Width of each use's row, shape [F]; side by side they are a sample's packed row. */
  readonly dims: Uint32Array;
  /** Tables of every frame, ascending, shape [T]. */
  readonly tables: Uint32Array;
  /** One per node, those without keys too. */
  readonly nodes: readonly NodeKeys[];
  readonly uniqueKeys: number;
  /** Floats of the rows of all unique keys: the length of the flat row buffer, node after node in key order. */
  readonly rowFloats: number;
  /** Where the row of sample b's use f begins in the flat row buffer, shape [B, F]. */
  readonly offsets_BF: Uint32Array;
}

const RADIX_BITS = 11;
const RADIX = 1 << RADIX_BITS;

/** Finds the unique keys of batches of one model. Scratch space is kept; what it returns belongs to the caller. */
export class UniqueKeys {
  readonly #uses: readonly RowUse[];
  readonly #tables: Uint32Array;
  readonly #dims: Uint32Array;
  /** Width of a table's rows, shape [T]. */
  readonly #dimOfTable: Uint32Array;
  /** Uses of each table, as positions in `uses`. */
  readonly #usesOfTable: readonly (readonly number[])[];
  #scratch = newScratch(0);

  /** @throws {RangeError} a table used with two widths */
  constructor(uses: readonly RowUse[]) {
    this.#uses = uses;
    this.#tables = Uint32Array.from(new Set(uses.map(({ table }) => table))).toSorted();
    this.#dims = Uint32Array.from(uses, ({ dim }) => dim);
    this.#usesOfTable = Array.from(this.#tables, (id) => uses.flatMap(({ table }, f) => (table === id ? [f] : [])));
    this.#dimOfTable = Uint32Array.from(this.#usesOfTable, (fs) => this.#dims[fs[0]!]!);
    for (const [t, fs] of this.#usesOfTable.entries()) {
      const odd = fs.find((f) => this.#dims[f] !== this.#dimOfTable[t]);
      if (odd === undefined) continue;
      throw new RangeError(
        `table ${this.#tables[t]} is used with rows of ${this.#dimOfTable[t]} and of ${this.#dims[odd]} floats`,
      );
    }
  }

  /**
   * The unique keys of a batch, in frame order.
   *
   * @param keys of each use, shape [F][2B]; two uses may share one array
   * @throws {RangeError} an array of another length
   */
  collect({
    keys,
    samples,
    placement,
  }: {
    keys: readonly Uint32Array[];
    samples: number;
    placement: KeyPlacement;
  }): KeyPlan {
    this.#check(keys, samples);
    const occurrences = this.#uses.length * samples;
    if (this.#scratch.capacity < occurrences) this.#scratch = newScratch(occurrences);
    const unique = this.#findUnique(keys, samples);
    const places = placesOf(placement);
    placeKeys(this.#scratch, unique, placement, places.rankOf);
    const segmentCounts = this.#sort(unique, places.partitionAt.length);
    return this.#plan({ unique, samples, placement, places, segmentCounts });
  }

  #check(keys: readonly Uint32Array[], samples: number): void {
    if (keys.length !== this.#uses.length) {
      throw new RangeError(`got keys of ${keys.length} uses; the model has ${this.#uses.length}`);
    }
    for (const [f, { length }] of keys.entries()) {
      if (length === 2 * samples) continue;
      throw new RangeError(`keys of use ${f} have ${length} words; ${samples} samples need ${2 * samples}`);
    }
  }

  /** Fills the unique keys and each occurrence's index among them; returns how many there are. */
  #findUnique(keys: readonly Uint32Array[], samples: number): number {
    const s = this.#scratch;
    let unique = 0;
    for (const [t, uses] of this.#usesOfTable.entries()) {
      // One small hash table per embedding table stays in the cache.
      const mask = slotsFor(uses.length * samples) - 1;
      s.slots.fill(0, 0, mask + 1);
      const before = unique;
      for (const f of uses) unique = dedup(keys[f]!, samples, s, f * samples, mask, unique);
      s.table.fill(t, before, unique);
    }
    return unique;
  }

  /** Orders `scratch.order` by (rank of the partition, table, key); returns the keys of each rank. */
  #sort(unique: number, ranks: number): Uint32Array {
    const s = this.#scratch;
    let [from, to] = [s.order, s.spare];
    for (let i = 0; i < unique; i++) from[i] = i;
    const pass = (words: Uint32Array, shift: number, buckets: number): Uint32Array => {
      const counts = new Uint32Array(buckets);
      if (radixPass(words, shift, buckets - 1, counts, from, to, unique)) [from, to] = [to, from];
      return counts;
    };
    for (const words of [s.lo, s.hi]) for (let shift = 0; shift < 32; shift += RADIX_BITS) pass(words, shift, RADIX);
    pass(s.table, 0, powerOfTwo(this.#tables.length));
    const counts = pass(s.rank, 0, powerOfTwo(ranks));
    [s.order, s.spare] = [from, to];
    return counts;
  }

  #plan(o: {
    unique: number;
    samples: number;
    placement: KeyPlacement;
    places: Places;
    segmentCounts: Uint32Array;
  }): KeyPlan {
    const { unique, samples, placement, places, segmentCounts } = o;
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
    const offsets_BF = new Uint32Array(this.#uses.length * samples);
    occurrenceOffsets(s, this.#uses.length, samples, offsets_BF);
    return { samples, dims: this.#dims, tables: this.#tables, nodes, uniqueKeys: unique, rowFloats, offsets_BF };
  }
}

/** The order of partitions in the frames: node by node, ascending within. */
interface Places {
  /** Partition → its place in that order. */
  rankOf: Uint32Array;
  partitionAt: Uint32Array;
  /** Rank of each node's first partition, shape [nodes + 1]. */
  firstRank: Uint32Array;
}

function placesOf({ nodeOf, nodes }: KeyPlacement): Places {
  const P = nodeOf.length;
  const firstRank = new Uint32Array(nodes + 1);
  for (let p = 0; p < P; p++) {
    const node = nodeOf[p]!;
    if (!(node >= 0 && node < nodes))
      throw new RangeError(`partition ${p} is on node ${node}; nodes count from 0 to ${nodes - 1}`);
    firstRank[node + 1]!++;
  }
  for (let node = 0; node < nodes; node++) firstRank[node + 1]! += firstRank[node]!;
  const next = firstRank.slice();
  const rankOf = new Uint32Array(P);
  const partitionAt = new Uint32Array(P);
  for (let p = 0; p < P; p++) {
    const rank = next[nodeOf[p]!]!++;
    rankOf[p] = rank;
    partitionAt[rank] = p;
  }
  return { rankOf, partitionAt, firstRank };
}

/** Space for `capacity` occurrences; unique keys are at most as many. */
interface Scratch {
  capacity: number;
  /** Open addressing: 1 + index of a unique key, or 0. */
  slots: Uint32Array;
  /** Index among the unique keys, shape [F, B]. */
  occurrence: Uint32Array;
  lo: Uint32Array;
  hi: Uint32Array;
  /** Position of the key's table in `tables`. */
  table: Uint32Array;
  rank: Uint32Array;
  /** Where the key's row begins in the flat row buffer. */
  offset: Uint32Array;
  order: Uint32Array;
  spare: Uint32Array;
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

/** Enters `samples` keys into the hash table; `count` unique ones were there before. Returns how many are now. */
function dedup(keys: Uint32Array, samples: number, s: Scratch, at: number, mask: number, count: number): number {
  const { slots, occurrence, lo: los, hi: his } = s;
  for (let b = 0; b < samples; b++) {
    const lo = keys[2 * b]!;
    const hi = keys[2 * b + 1]!;
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
    occurrence[at + b] = entry - 1;
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

/** One stable counting pass, `from` → `to`; false, with nothing moved, where all keys agree in these bits. */
function radixPass(
  words: Uint32Array,
  shift: number,
  mask: number,
  counts: Uint32Array,
  from: Uint32Array,
  to: Uint32Array,
  n: number,
): boolean {
  for (let i = 0; i < n; i++) counts[(words[i]! >>> shift) & mask]!++;
  if (n === 0 || counts[(words[0]! >>> shift) & mask] === n) return false;
  const next = new Uint32Array(counts.length);
  for (let d = 1; d < counts.length; d++) next[d] = next[d - 1]! + counts[d - 1]!;
  for (let i = 0; i < n; i++) {
    const u = from[i]!;
    to[next[(words[u]! >>> shift) & mask]!++] = u;
  }
  return true;
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

function occurrenceOffsets({ occurrence, offset }: Scratch, F: number, samples: number, offsets_BF: Uint32Array): void {
  for (let f = 0; f < F; f++) {
    for (let b = 0; b < samples; b++) offsets_BF[b * F + f] = offset[occurrence[f * samples + b]!]!;
  }
}
