/**
 * A table by itself, for algorithms that are no neural net: FTRL logistic regression, counts, topic models. Its rows
 * lie on the parameter servers as those of a training job do; its user pulls, computes and pushes.
 */
import type { TableSpec } from "../table/index.ts";
import type { ExportedRows, TableClient } from "./table-client.ts";
import type { Keys } from "./table-keys.ts";

export interface ReadOptions {
  /** By how many training steps the rows may be behind; those that are newest unless said otherwise. */
  staleness?: number | undefined;
}

export class PlainTable {
  readonly spec: TableSpec;
  readonly #client: TableClient;

  constructor({ spec, client }: { spec: TableSpec; client: TableClient }) {
    this.spec = spec;
    this.#client = client;
  }

  get name(): string {
    return this.spec.name;
  }

  /** Floats of a row. */
  get dim(): number {
    return this.spec.dim;
  }

  /**
   * Reads rows; one that was never pushed reads as its initial value, and is not made by that.
   *
   * A read has every push that was acknowledged before it began, unless it gives a `staleness`: then any replica may
   * answer, which may lack pushes that are on their way to it.
   *
   * @param keys any order; a key that is there twice is answered twice
   * @param o.staleness in training steps, for a table that is trained; 0 or more for any other, with the same effect
   * @returns float32, shape [K, dim], in key order; the caller owns it
   * @throws {RangeError} a number that is no safe integer
   * @throws {ClusterError} PARTITION_UNAVAILABLE after retries, UNKNOWN_JOB once the tables are closed
   */
  pull(keys: Keys, { staleness }: ReadOptions = {}): Promise<Float32Array> {
    return this.#client.get({ table: this.spec, keys, staleness });
  }

  /**
   * Pushes gradients; resolves when the table's optimizer or update has applied each, once, however often links break and nodes are lost.
   *
   * @param keys any order; what is pushed for equal keys is summed in their order first (for the updates "max" and
   *   "set": the largest, the last), so that a row has one update
   * @param gradients shape [K, dim]; none for the update "count", which counts the keys
   * @throws {RangeError} a gradient that is not finite, naming its key: nothing is applied then
   * @throws {ClusterError} as `pull`; a part of the push may have been applied then
   * @see TableClient.push for what happens when a node dies in between
   */
  push(keys: Keys, gradients?: Float32Array | readonly number[]): Promise<void> {
    const floats = gradients === undefined ? {} : { gradients: floatsOf(gradients) };
    return this.#client.push({ table: this.spec, keys, ...floats });
  }

  /** The same as `pull`: what is stored under keys. */
  get(keys: Keys, options: ReadOptions = {}): Promise<Float32Array> {
    return this.pull(keys, options);
  }

  /**
   * Overwrites whole rows, which are then as if new with these weights: their optimizer's state begins again.
   *
   * @param keys any order; of a key that is there twice the last row counts
   * @param values shape [K, dim]
   * @throws as `push`
   */
  set(keys: Keys, values: Float32Array | readonly number[]): Promise<void> {
    return this.#client.set({ table: this.spec, keys, values: floatsOf(values) });
  }

  /** Streams every row that was pushed or set, in no particular order, a bounded chunk at a time. */
  export(): AsyncGenerator<ExportedRows> {
    return this.#client.export(this.spec);
  }
}

function floatsOf(values: Float32Array | readonly number[]): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}
