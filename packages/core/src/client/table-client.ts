/**
 * Rows by key, for what is no training step: pull, push, set and export of a job's tables. The path of a step, with
 * its fused frames and early pulls, is in `training/`.
 *
 * Keys are cut into parts once; a part's frames are cut anew whenever a partition of it has moved. So a part can keep
 * one identity, under which every partition counts it once.
 */
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { NO_SABOTAGE, type Sabotages } from "../sabotage.ts";
import { allFinite, KeyIndex, type TableSpec } from "../table/index.ts";
import { END_OF_EXPORT, type Clock, type Frame } from "../wire/index.ts";
import type { TableLinks } from "./node-links.ts";
import { PartitionRequests, type Attempt } from "./partition-requests.ts";
import { PushSequence } from "./push-sequence.ts";
import { PulledRows } from "./pulled-rows.ts";
import type { Requests } from "./requests.ts";
import { groupKeys, wordsOf, type KeyPart, type Keys } from "./table-keys.ts";

export interface ExportedRows {
  /** 64-bit keys, shape [K]. */
  keys: BigUint64Array;
  /** float32, shape [K, dim]. */
  values: Float32Array;
}

export interface TableClientOptions {
  job: number;
  links: TableLinks;
  requests: Requests;
  clock: Clock;
  /** In [0, 1): draws the number that a client's pushes are known by. A client without it cannot push. */
  random?: (() => number) | undefined;
  sabotages?: Sabotages;
}

/**
 * Every operation asks again, by the newest partition map, for what a lost or moved partition has not answered; a
 * {@link ClusterError} PARTITION_UNAVAILABLE says that this took over {@link LIMITS.tableRetryMs}.
 */
export class TableClient {
  readonly #links: TableLinks;
  readonly #partitions: PartitionRequests;
  readonly #pushes: PushSequence | undefined;
  readonly #sabotages: Sabotages;
  /** The newest committed step that a reply named. */
  #newestStep = 0;
  /** Counts reads from replicas, which take turns. */
  #turn = 0;

  constructor({ job, links, requests, clock, random, sabotages = NO_SABOTAGE }: TableClientOptions) {
    this.#links = links;
    this.#partitions = new PartitionRequests({ job, links, requests, clock });
    this.#pushes = random && new PushSequence({ random });
    this.#sabotages = sabotages;
  }

  /**
   * Overwrites whole rows, which are then as if new with these weights.
   *
   * @param o.keys any order; of a key that is there twice the last row counts
   * @param o.values float32, shape [K, dim]
   * @throws {ClusterError} PARTITION_UNAVAILABLE: parts may have been set, or may not
   */
  async set({ table, keys, values }: { table: TableSpec; keys: Keys; values: Float32Array }): Promise<void> {
    const words = wordsOf(keys);
    checkFloats({ what: "values", table, words, values });
    const { unique, numbers, parts } = this.#group(table, words);
    const rows = new Float32Array(unique * table.dim);
    numbers.forEach((number, i) => copyRow(rows, number, values, i, table.dim));
    await Promise.all(
      parts.map((part) =>
        this.#partitions.deliver({
          part,
          frameOf: (attempt) => ({ opcode: "set", ...rowsOf(table, attempt, rows) }),
        }),
      ),
    );
  }

  /**
   * Reads rows as they are committed; a row that was never pushed reads as its initial value.
   *
   * Without `staleness` a read has every write that was acknowledged before it began. With it, any replica may answer,
   * which may lack writes that are on their way to it, and is at most so many training steps behind the newest step
   * that an answer to this client named.
   *
   * @param o.keys any order; a key that is there twice is answered twice
   * @param o.staleness in steps, whole, from 0
   * @returns float32, shape [K, dim], in key order; the caller owns it
   * @throws {ClusterError} PARTITION_UNAVAILABLE
   */
  async get(o: { table: TableSpec; keys: Keys; staleness?: number | undefined }): Promise<Float32Array> {
    const { table, keys, staleness } = o;
    checkStaleness(staleness);
    const { dim } = table;
    const { unique, numbers, parts } = this.#group(table, wordsOf(keys));
    const rows = new Float32Array(unique * dim);
    const turn = this.#turn++;
    const mayBeReplica = ({ number }: Pick<Attempt, "number">): boolean => staleness !== undefined && number === 0;
    await Promise.all(
      parts.map((part) =>
        this.#partitions.deliver({
          part,
          nodeOf: ({ chain }, number) => (mayBeReplica({ number }) ? this.#replicaOf(chain, turn) : chain[0]!),
          frameOf: (attempt) => ({
            opcode: "pull",
            tables: Uint32Array.of(table.id),
            slots: mayBeReplica(attempt) ? 1 : 0,
          }),
          rowsOf: ({ part: { order, counts } }) =>
            new PulledRows({ rows: new Float32Array(order.length * dim), counts, dims: Uint32Array.of(dim) }),
          accept: (attempt, { step }, pulled) => {
            this.#newestStep = Math.max(this.#newestStep, step);
            if (mayBeReplica(attempt) && this.#newestStep - step > staleness!) return false;
            attempt.part.order.forEach((number, i) => copyRow(rows, number, pulled!.rows, i, dim));
            return true;
          },
        }),
      ),
    );
    if (unique === numbers.length) return rows; // they are numbered in the order given
    const out = new Float32Array(numbers.length * dim);
    numbers.forEach((number, i) => copyRow(out, i, rows, number, dim));
    return out;
  }

  /**
   * Pushes gradients, which the table's optimizer or server update applies at once; resolves when all are applied.
   * Each is applied once, however often links break and nodes are lost. A push is applied partition by partition, and
   * in pieces of at most {@link LIMITS.requestFloatsMax} floats: each wholly or not at all.
   *
   * @param o.gradients float32, shape [K, dim]; those of equal keys are combined in their order: summed, or for a
   *   table that keeps the maximum or the last value, that. Not for a table that counts: each occurrence is one
   * @throws {RangeError} a gradient that is not finite, naming its key: nothing is applied then
   * @throws {ClusterError} PARTITION_UNAVAILABLE: parts may have been applied, or may not
   */
  async push({ table, keys, gradients }: { table: TableSpec; keys: Keys; gradients?: Float32Array }): Promise<void> {
    const words = wordsOf(keys);
    const pushed = table.optimizer.kind === "count" ? ones(words.length / 2, table) : gradients;
    if (!pushed) throw new TypeError(`push to table "${table.name}": give gradients, ${table.dim} for each key`);
    checkFloats({ what: "gradients", table, words, values: pushed });
    const { unique, numbers, parts } = this.#group(table, words);
    const rows = combined({ table, unique, numbers, gradients: pushed });
    await Promise.all(parts.map((part) => this.#pushPart(table, part, rows)));
  }

  /**
   * Streams every row of a table, a bounded chunk at a time, each key once. Rows that are changed meanwhile come as they
   * were before or after.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE
   */
  async *export(table: TableSpec): AsyncGenerator<ExportedRows> {
    const partitions = this.#links.map.entries.length;
    for (let partition = 0; partition < partitions; partition++) yield* this.#exportPartition(table, partition);
  }

  /** A node's cursor means nothing to another one, so after a change of heads a partition begins again. */
  async *#exportPartition(table: TableSpec, partition: number): AsyncGenerator<ExportedRows> {
    const part: KeyPart = { order: NONE, partitions: Uint32Array.of(partition), counts: NONE, keys: NONE };
    const given = new KeyIndex();
    let at = { node: -1, cursor: 0 };
    while (at.cursor !== END_OF_EXPORT) {
      let rows: Pick<Frame, "keys" | "values"> = { keys: NONE, values: new Float32Array(0) };
      await this.#partitions.deliver({
        part,
        frameOf: ({ node }) => ({ opcode: "export", table: table.id, cursor: node === at.node ? at.cursor : 0 }),
        accept: ({ node }, reply) => {
          at = { node, cursor: reply.cursor };
          rows = reply;
          return true;
        },
      });
      const { keys, values } = newRows(rows, { dim: table.dim, given });
      if (keys.length > 0) yield { keys: bigKeys(keys), values };
    }
  }

  #group(table: TableSpec, words: Uint32Array) {
    return groupKeys(words, this.#links.map, Math.max(1, Math.floor(LIMITS.requestFloatsMax / table.dim)));
  }

  /** Replicas take turns, those that are up. */
  #replicaOf(chain: readonly number[], turn: number): number {
    const up = chain.filter((node) => this.#links.get(node) !== undefined);
    return up[turn % up.length] ?? chain[0]!;
  }

  async #pushPart(table: TableSpec, part: KeyPart, rows: Float32Array): Promise<void> {
    const pushes = this.#pushes;
    assert(pushes, "a client that pushes has a number");
    let sequence = await pushes.next();
    try {
      await this.#partitions.deliver({
        part,
        frameOf: async (attempt) => {
          if (attempt.number > 0 && this.#sabotages.has("re-lease-with-new-identity")) {
            pushes.settle(sequence);
            sequence = await pushes.next();
          }
          const { client, settled } = pushes.identity(sequence);
          const identity = { term: client % 2 ** 32, attempt: Math.floor(client / 2 ** 32), step: sequence };
          return { opcode: "pushDirect", ...rowsOf(table, attempt, rows), ...identity, cursor: settled };
        },
      });
    } finally {
      pushes.settle(sequence);
    }
  }
}

const NONE = new Uint32Array(0);

/** Keys of a frame as bigints. */
function bigKeys(words: Uint32Array): BigUint64Array {
  const copy = words.slice();
  return new BigUint64Array(copy.buffer);
}

/** The table of a frame, and the rows of its keys. */
function rowsOf(table: TableSpec, { part: { order } }: Attempt, rows: Float32Array): Pick<Frame, "tables" | "values"> {
  const values = new Float32Array(order.length * table.dim);
  order.forEach((number, i) => copyRow(values, i, rows, number, table.dim));
  return { tables: Uint32Array.of(table.id), values };
}

/** Those rows whose keys were not given yet; from now on they were. */
function newRows(
  rows: Pick<Frame, "keys" | "values">,
  { dim, given }: { dim: number; given: KeyIndex },
): Pick<Frame, "keys" | "values"> {
  const keys = new Uint32Array(rows.keys.length);
  const values = new Float32Array(rows.values.length);
  let count = 0;
  for (let i = 0; i < rows.keys.length / 2; i++) {
    const lo = rows.keys[2 * i]!;
    const hi = rows.keys[2 * i + 1]!;
    if (given.find(lo, hi) >= 0) continue;
    given.insert(lo, hi);
    keys[2 * count] = lo;
    keys[2 * count + 1] = hi;
    copyRow(values, count++, rows.values, i, dim);
  }
  return { keys: keys.subarray(0, 2 * count), values: values.subarray(0, count * dim) };
}

/** Gradients by unique key, those of equal keys combined in the order given. */
function combined(of: {
  table: TableSpec;
  unique: number;
  numbers: Uint32Array;
  gradients: Float32Array;
}): Float32Array {
  const { table, unique, numbers, gradients } = of;
  const { dim, optimizer } = table;
  if (unique === numbers.length) return gradients;
  const rows = new Float32Array(unique * dim);
  let seen = 0;
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i]!;
    if (number === seen) {
      seen++;
      copyRow(rows, number, gradients, i, dim);
    } else if (optimizer.kind === "set") copyRow(rows, number, gradients, i, dim);
    else if (optimizer.kind === "max") {
      for (let d = 0; d < dim; d++) rows[number * dim + d] = Math.max(rows[number * dim + d]!, gradients[i * dim + d]!);
    } else {
      for (let d = 0; d < dim; d++) rows[number * dim + d] = rows[number * dim + d]! + gradients[i * dim + d]!;
    }
  }
  return rows;
}

function ones(keys: number, { dim }: TableSpec): Float32Array {
  return new Float32Array(keys * dim).fill(1);
}

function copyRow(to: Float32Array, toRow: number, from: Float32Array, fromRow: number, dim: number): void {
  for (let d = 0; d < dim; d++) to[toRow * dim + d] = from[fromRow * dim + d]!;
}

function checkFloats(of: { what: string; table: TableSpec; words: Uint32Array; values: Float32Array }): void {
  const { what, table, words, values } = of;
  const { name, dim } = table;
  const keys = words.length / 2;
  if (values.length !== keys * dim) {
    throw new RangeError(
      `${keys} keys of table "${name}" need ${keys * dim} ${what}, ${dim} each; got ${values.length}`,
    );
  }
  if (allFinite(values, 0, values.length)) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  const k = Math.floor(at / dim);
  const key = bigKeys(words.subarray(2 * k, 2 * k + 2))[0];
  throw new RangeError(
    `${values[at]} for key ${key} of table "${name}", component ${at % dim}: ${what} must be finite`,
  );
}

function checkStaleness(staleness: number | undefined): void {
  if (staleness === undefined || (Number.isSafeInteger(staleness) && staleness >= 0)) return;
  throw new RangeError(
    `staleness is ${staleness}; give a whole number of steps, or leave it out to read what is newest`,
  );
}
