/**
 * The rows of one batch on their way here: which keys each node is asked for, and where their rows go. Rows that are
 * kept from before (`row-cache.ts`) are not asked for; what comes is kept for later.
 *
 * Shapes: S segments, T tables.
 */
import { PulledRows } from "../../client/index.ts";
import type { KeyPlan, NodeKeys } from "../../embedding/index.ts";
import { assert } from "../../errors.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import type { RowAge, RowCache } from "./row-cache.ts";
import type { RowBuffers } from "./row-buffers.ts";

/** The keys that one node is asked for, and where their rows begin, in floats. */
export interface AskedKeys extends Pick<NodeKeys, "partitions" | "counts" | "keys"> {
  /** Among the rows that are pulled. */
  readonly from: number;
  readonly to: number;
}

export interface RowPullOptions {
  readonly plan: KeyPlan;
  /** Width of each table's rows, shape [T]. */
  readonly dims: Uint32Array;
  readonly buffers: RowBuffers;
  /** What may be used again, and how old it may be. */
  readonly kept?: { readonly cache: RowCache; readonly age: RowAge } | undefined;
}

export class RowPull {
  /** One per node. */
  readonly asked: readonly AskedKeys[];
  /** Keys of samples, and how many of their rows were kept from before. */
  readonly keys: number;
  readonly keptKeys: number;
  readonly #o: RowPullOptions;
  /** Where each row that is asked for goes among all rows, in key order; undefined: where it comes. */
  readonly #places: Uint32Array | undefined;
  /** All rows, in key order, until they are let go. */
  #rows: Float32Array | undefined;
  /** The rows that are asked for. */
  #coming: Float32Array | undefined;
  #parts: readonly PulledRows[] | undefined;
  #isPlaced = false;

  constructor(o: RowPullOptions) {
    this.#o = o;
    const { plan, dims, buffers, kept } = o;
    this.keys = plan.uniqueKeys - plan.asideOffsets.length;
    this.keptKeys = 0;
    this.asked = plan.nodes;
    if (!kept) return;
    this.#rows = buffers.take(plan.rowFloats);
    const missing = takeKept({ plan, dims, rows: this.#rows, ...kept });
    this.asked = missing.nodes;
    this.#places = missing.places;
    this.keptKeys = plan.uniqueKeys - missing.places.length;
  }

  /** Is node number `n` asked for any row? */
  asks(n: number): boolean {
    return this.asked[n]!.keys.length > 0;
  }

  /** Takes the rows that node number `n` sends. */
  part(n: number): PulledRows {
    this.#parts ??= this.#open();
    return this.#parts[n]!;
  }

  /** All rows in key order: at least as many floats as they have. They are there until they are let go. */
  rows(): Float32Array {
    const isWhole = this.asked.every((_, n) => !this.asks(n) || this.part(n).whole);
    this.#parts ??= this.#open();
    assert(this.#rows && isWhole, "rows are gathered before they are there");
    if (!this.#isPlaced && this.#places) this.#place(this.#rows, this.#places);
    this.#isPlaced = true;
    return this.#rows;
  }

  /** Lets the rows go; parts that still come are not taken any more. */
  release(): void {
    const { buffers } = this.#o;
    if (this.#rows) buffers.give(this.#rows);
    if (this.#coming && this.#coming !== this.#rows) buffers.give(this.#coming);
    this.#rows = undefined;
    this.#coming = undefined;
    for (const part of this.#parts ?? []) part.close();
  }

  #open(): PulledRows[] {
    const { plan, dims, buffers } = this.#o;
    if (this.#places) this.#coming = buffers.take(this.asked.at(-1)?.to ?? 0);
    else this.#coming = this.#rows = buffers.take(plan.rowFloats);
    const coming = this.#coming;
    return this.asked.map(({ from, to, counts }) => new PulledRows({ rows: coming.subarray(from, to), counts, dims }));
  }

  /** Puts the rows that came between those that were there, and keeps them. */
  #place(rows: Float32Array, places: Uint32Array): void {
    const { plan, dims, kept } = this.#o;
    const coming = this.#coming!;
    let row = 0;
    for (const { counts, keys, from } of this.asked) {
      let at = from;
      let key = 0;
      for (const [i, count] of counts.entries()) {
        const [table, dim] = [plan.tables[i % dims.length]!, dims[i % dims.length]!];
        const cache = table === DENSE_TABLE.id ? undefined : kept!.cache.table(table, dim);
        for (const end = key + count; key < end; key++, row++, at += dim) {
          copyRow(coming, at, rows, places[row]!, dim);
          cache?.keep(keys[2 * key]!, keys[2 * key + 1]!, kept!.age.at, coming, at);
        }
      }
    }
  }
}

/** Puts the rows that are kept and new enough to their places; says which ones are missing. Dense rows always are. */
function takeKept(o: { plan: KeyPlan; dims: Uint32Array; rows: Float32Array; cache: RowCache; age: RowAge }): {
  nodes: AskedKeys[];
  places: Uint32Array;
} {
  const { plan, dims, rows, cache, age } = o;
  const T = dims.length;
  const caches = Array.from(plan.tables, (id, t) => (id === DENSE_TABLE.id ? undefined : cache.table(id, dims[t]!)));
  const places = new Uint32Array(plan.uniqueKeys);
  let missing = 0;
  let to = 0;
  const nodes = plan.nodes.map((node) => {
    const from = to;
    const keys = new Uint32Array(node.keys.length);
    const counts = new Uint32Array(node.counts.length);
    let words = 0;
    let key = 0;
    let at = node.from;
    for (const [i, count] of node.counts.entries()) {
      const dim = dims[i % T]!;
      const kept = caches[i % T];
      for (const end = key + count; key < end; key++, at += dim) {
        const [lo, hi] = [node.keys[2 * key]!, node.keys[2 * key + 1]!];
        if (kept?.copy(lo, hi, age.oldest, rows, at)) continue;
        keys[words++] = lo;
        keys[words++] = hi;
        counts[i]!++;
        places[missing++] = at;
        to += dim;
      }
    }
    return { ...withoutEmpty(node.partitions, counts, T), keys: keys.subarray(0, words), from, to };
  });
  return { nodes, places: places.subarray(0, missing) };
}

/** Only the segments that still have keys. */
function withoutEmpty(
  partitions: Uint32Array,
  counts: Uint32Array,
  T: number,
): Pick<AskedKeys, "partitions" | "counts"> {
  const asked = Array.from(partitions.keys()).filter((s) => counts.subarray(s * T, (s + 1) * T).some((n) => n > 0));
  return {
    partitions: Uint32Array.from(asked, (s) => partitions[s]!),
    counts: Uint32Array.from(asked.flatMap((s) => [...counts.subarray(s * T, (s + 1) * T)])),
  };
}

function copyRow(from: Float32Array, at: number, to: Float32Array, toAt: number, dim: number): void {
  for (let d = 0; d < dim; d++) to[toAt + d] = from[at + d]!;
}
