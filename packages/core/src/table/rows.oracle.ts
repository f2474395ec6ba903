/**
 * The rows of a table in a Map, one at a time by the optimizers in TypeScript: slow, and plainly right. What `rows.ts`
 * does with kernels is compared with this, bit for bit. For tests alone.
 */
import { bfloat16Of, bitsOf, floatOf, int8Row, int8Values } from "../kernels/oracle/convert.ts";
import { chancedBfloat16, chancedInt8Row, chanceOf } from "../kernels/oracle/stochastic-rounding.ts";
import { learningRateAt, optimizerOf, type Optimizer } from "../optimizer/index.ts";
import { initializerOf, type Initializer } from "./initializer.ts";
import { rowBoundsOf, type RowBounds } from "./row-bounds.ts";
import type { TableSpec } from "./table-spec.ts";

export interface OracleRow {
  /** [weights | state] */
  readonly floats: Float32Array;
  updates: number;
  lastStep: number;
}

export class OracleRows {
  /** By key. */
  readonly rows = new Map<bigint, OracleRow>();
  readonly #spec: TableSpec;
  readonly #optimizer: Optimizer;
  readonly #bounds: RowBounds | undefined;
  readonly #initializer: Initializer;

  constructor(spec: TableSpec, seed: number) {
    this.#spec = spec;
    this.#optimizer = optimizerOf(spec.optimizer);
    this.#bounds = rowBoundsOf(spec);
    this.#initializer = initializerOf(spec.initializer, { seed, table: spec.id });
  }

  /** The weights of keys, one after the other. */
  read(keys: readonly bigint[]): number[] {
    return keys.flatMap((key) => [...(this.rows.get(key) ?? this.#newRow(key)).floats.subarray(0, this.#spec.dim)]);
  }

  update(keys: readonly bigint[], grads: Float32Array, step: number): void {
    const { dim, optimizer } = this.#spec;
    const rate = learningRateAt(optimizer, step);
    for (const [i, key] of keys.entries()) {
      const row = this.#rowOf(key);
      row.updates += 1;
      row.lastStep = step;
      const gradient = this.#bounds?.gradient(row.floats, 0, grads, i * dim) ?? grads.slice(i * dim, (i + 1) * dim);
      this.#optimizer.update(row.floats, 0, dim, gradient, 0, row.updates, rate);
      this.#bounds?.shorten(row.floats, 0);
      this.#round(key, row);
    }
  }

  set(keys: readonly bigint[], values: Float32Array, step: number): void {
    const { dim } = this.#spec;
    for (const [i, key] of keys.entries()) {
      const row = this.#rowOf(key);
      row.updates = 0;
      row.lastStep = step;
      row.floats.set(values.subarray(i * dim, (i + 1) * dim));
      this.#round(key, row);
      this.#optimizer.initState(row.floats, 0, dim);
    }
  }

  delete(keys: readonly bigint[]): void {
    for (const key of keys) this.rows.delete(key);
  }

  #rowOf(key: bigint): OracleRow {
    let row = this.rows.get(key);
    if (!row) this.rows.set(key, (row = this.#newRow(key)));
    return row;
  }

  #newRow(key: bigint): OracleRow {
    const { dim } = this.#spec;
    const row = { floats: new Float32Array(dim + this.#optimizer.stateWidth(dim)), updates: 0, lastStep: 0 };
    this.#initializer(Number(key & 0xffffffffn), Number(key >> 32n), row.floats, 0, dim);
    this.#round(key, row);
    this.#optimizer.initState(row.floats, 0, dim);
    return row;
  }

  /** Makes the weights what the table's dtype keeps of them. */
  #round(key: bigint, { floats, updates }: OracleRow): void {
    const { dim, dtype = "float32" } = this.#spec;
    const weights = floats.subarray(0, dim);
    const chances = Array.from(weights, (_, i) => chanceOf(key, updates, i));
    if (dtype === "bfloat16") {
      for (const [i, weight] of weights.entries()) {
        const half = updates === 0 ? bfloat16Of(bitsOf(weight)) : chancedBfloat16(weight, chances[i]!);
        weights[i] = floatOf((half << 16) >>> 0);
      }
    } else if (dtype === "int8") {
      weights.set(int8Values(updates === 0 ? int8Row(weights.slice()) : chancedInt8Row(weights.slice(), chances), dim));
    }
  }
}
