/**
 * The rows of one table in one partition: weights and optimizer state in one array, key, count and age in the
 * index. An empty table holds no memory; it grows by doubling.
 *
 * A read never creates a row nor changes its count or age: it computes the initial value. The first push creates it.
 */
import { learningRateAt, optimizerOf, type Optimizer, type OptimizerSpec } from "../optimizer/index.ts";
import { copyFloats } from "./floats.ts";
import { initializerOf, type Initializer } from "./initializer.ts";
import { KeyIndex } from "./key-index.ts";
import { rowBoundsOf, type RowBounds } from "./row-bounds.ts";
import type { TableSpec } from "./table-spec.ts";

/** Words of an index entry behind the key: updates of the row, and the last step that changed it. */
const UPDATES = 2;
const LAST_STEP = 3;
const UPDATES_MAX = 0xffff_ffff;
const FIRST_FLOATS = 256;
const NO_FLOATS = new Float32Array(0);

/** A run of rows with all that makes them up; a snapshot is a series of these. */
export interface ExportedRows {
  /** Little-endian u32 pairs, in the order the rows were created. Length 2N. */
  readonly keys: Uint32Array;
  /** [N, dim] */
  readonly weights: Float32Array;
  /** [N, stateWidth] */
  readonly states: Float32Array;
  /** Updates each row has had. */
  readonly updates: Uint32Array;
  /** The step that changed each row last. */
  readonly lastSteps: Uint32Array;
  /** The cursor to go on with, or undefined at the end. */
  readonly next: number | undefined;
}

export class Rows {
  readonly dim: number;
  readonly stateWidth: number;
  readonly #stride: number;
  readonly #index = new KeyIndex({ ownWords: 2 });
  readonly #optimizerSpec: OptimizerSpec;
  readonly #optimizer: Optimizer;
  readonly #bounds: RowBounds | undefined;
  readonly #initializer: Initializer;
  /** Row r is [weights | state] from r * stride on. */
  #slab: Float32Array = NO_FLOATS;

  constructor(spec: TableSpec, seed: number) {
    this.#optimizerSpec = spec.optimizer;
    this.#optimizer = optimizerOf(spec.optimizer);
    this.#bounds = rowBoundsOf(spec);
    this.#initializer = initializerOf(spec.initializer, { seed, table: spec.id });
    this.dim = spec.dim;
    this.stateWidth = this.#optimizer.stateWidth(spec.dim);
    this.#stride = this.dim + this.stateWidth;
  }

  get count(): number {
    return this.#index.count;
  }

  bytes(): number {
    return this.#index.bytes() + this.#slab.byteLength;
  }

  /** Writes the weights of keys `from` to `to` (pair numbers) to `out` from `outAt` on; changes nothing. */
  read(keys: Uint32Array, from: number, to: number, out: Float32Array, outAt: number): void {
    const dim = this.dim;
    const stride = this.#stride;
    const index = this.#index;
    const slab = this.#slab;
    let at = outAt;
    for (let k = from; k < to; k++) {
      const lo = keys[2 * k]!;
      const hi = keys[2 * k + 1]!;
      const row = index.find(lo, hi);
      if (row >= 0) copyFloats(out, at, slab, row * stride, dim);
      else this.#initializer(lo, hi, out, at, dim);
      at += dim;
    }
  }

  /** Applies one gradient to the row of each key, creating rows that are not there, and notes the step. */
  update(keys: Uint32Array, from: number, to: number, grads: Float32Array, gradsAt: number, step: number): void {
    const dim = this.dim;
    const stride = this.#stride;
    const index = this.#index;
    const optimizer = this.#optimizer;
    const bounds = this.#bounds;
    const rate = learningRateAt(this.#optimizerSpec, step);
    let at = gradsAt;
    for (let k = from; k < to; k++) {
      const row = this.#rowOf(keys[2 * k]!, keys[2 * k + 1]!);
      const entries = index.entries;
      const entry = row * index.entryWords;
      const updates = Math.min(entries[entry + UPDATES]! + 1, UPDATES_MAX);
      entries[entry + UPDATES] = updates;
      entries[entry + LAST_STEP] = step;
      if (bounds === undefined) optimizer.update(this.#slab, row * stride, dim, grads, at, updates, rate);
      else {
        const gradient = bounds.gradient(this.#slab, row * stride, grads, at);
        optimizer.update(this.#slab, row * stride, dim, gradient, 0, updates, rate);
        bounds.shorten(this.#slab, row * stride);
      }
      at += dim;
    }
  }

  /** Overwrites the weights of keys; each row is then as if new with these weights. */
  set(keys: Uint32Array, from: number, to: number, values: Float32Array, valuesAt: number, step: number): void {
    const index = this.#index;
    let at = valuesAt;
    for (let k = from; k < to; k++) {
      const row = this.#rowOf(keys[2 * k]!, keys[2 * k + 1]!);
      const rowAt = row * this.#stride;
      copyFloats(this.#slab, rowAt, values, at, this.dim);
      this.#optimizer.initState(this.#slab, rowAt, this.dim);
      index.entries[row * index.entryWords + UPDATES] = 0;
      index.entries[row * index.entryWords + LAST_STEP] = step;
      at += this.dim;
    }
  }

  /** Copies at most `rowsMax` rows, from row number `cursor` on. Rows keep their numbers while the table lives. */
  export(cursor: number, rowsMax: number): ExportedRows {
    const from = Math.min(cursor, this.count);
    const to = Math.min(from + rowsMax, this.count);
    const N = to - from;
    const { dim, stateWidth } = this;
    const stride = this.#stride;
    const { entries, entryWords } = this.#index;
    const keys = new Uint32Array(2 * N);
    const weights = new Float32Array(N * dim);
    const states = new Float32Array(N * stateWidth);
    const updates = new Uint32Array(N);
    const lastSteps = new Uint32Array(N);
    for (let i = 0; i < N; i++) {
      const entry = (from + i) * entryWords;
      const rowAt = (from + i) * stride;
      keys[2 * i] = entries[entry]!;
      keys[2 * i + 1] = entries[entry + 1]!;
      updates[i] = entries[entry + UPDATES]!;
      lastSteps[i] = entries[entry + LAST_STEP]!;
      copyFloats(weights, i * dim, this.#slab, rowAt, dim);
      copyFloats(states, i * stateWidth, this.#slab, rowAt + dim, stateWidth);
    }
    return { keys, weights, states, updates, lastSteps, next: to < this.count ? to : undefined };
  }

  #rowOf(lo: number, hi: number): number {
    const found = this.#index.find(lo, hi);
    if (found >= 0) return found;
    const row = this.#index.insert(lo, hi);
    const at = row * this.#stride;
    if (at + this.#stride > this.#slab.length) this.#growSlab();
    this.#initializer(lo, hi, this.#slab, at, this.dim);
    this.#optimizer.initState(this.#slab, at, this.dim);
    return row;
  }

  #growSlab(): void {
    const stride = this.#stride;
    const rowsFirst = Math.max(1, Math.floor(FIRST_FLOATS / stride));
    const rows = Math.max(rowsFirst, 2 * Math.floor(this.#slab.length / stride));
    const slab = new Float32Array(rows * stride);
    slab.set(this.#slab);
    this.#slab = slab;
  }
}
