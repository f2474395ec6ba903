/**
 * Rows by key, for what is no training step: pull, push, set and export of a job's tables. The path of a step, with
 * its fused frames and early pulls, is in `training/`.
 */
import { assert, ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionMap } from "../partition/index.ts";
import { allFinite, type TableSpec } from "../table/index.ts";
import { END_OF_EXPORT, frame, type Clock, type Frame, type Link } from "../wire/index.ts";
import { PushSequence } from "./push-sequence.ts";
import { PulledRows } from "./pulled-rows.ts";
import type { Requests } from "./requests.ts";
import { retry } from "./retry.ts";
import { groupKeys, wordsOf, type Keys, type NodeKeys } from "./table-keys.ts";

export interface ExportedRows {
  /** 64-bit keys, shape [K]. */
  keys: BigUint64Array;
  /** float32, shape [K, dim]. */
  values: Float32Array;
}

export interface TableClientOptions {
  job: number;
  map: PartitionMap;
  requests: Requests;
  /** The newest link to a node. */
  link: (node: number) => Link;
  /** With it, what fails for a passing reason is tried again, by `client/retry.ts`. Every request is idempotent. */
  clock?: Clock | undefined;
  /** In [0, 1): draws the number that a client's pushes are known by. A client without it cannot push. */
  random?: (() => number) | undefined;
}

export class TableClient {
  readonly #o: TableClientOptions;
  readonly #pushes: PushSequence | undefined;

  constructor(o: TableClientOptions) {
    this.#o = o;
    this.#pushes = o.random && new PushSequence({ random: o.random });
  }

  /**
   * Overwrites whole rows, which are then as if new with these weights.
   *
   * @param o.keys any order; of a key that is there twice the last row counts
   * @param o.values float32, shape [K, dim]
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable)
   */
  async set({ table, keys, values }: { table: TableSpec; keys: Keys; values: Float32Array }): Promise<void> {
    const words = wordsOf(keys);
    checkFloats({ what: "values", table, words, values });
    const { unique, numbers, frames } = this.#group(table, words);
    const rows = new Float32Array(unique * table.dim);
    numbers.forEach((number, i) => copyRow(rows, number, values, i, table.dim));
    await Promise.all(frames.map((to) => this.#ask(to, { opcode: "set", ...sectionsOf(table, to, rows) })));
  }

  /**
   * Reads rows as they are committed; a row that was never pushed reads as its initial value.
   *
   * @param o.keys any order; a key that is there twice is answered twice
   * @returns float32, shape [K, dim], in key order; the caller owns it
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable)
   */
  async get({ table, keys }: { table: TableSpec; keys: Keys }): Promise<Float32Array> {
    const { dim } = table;
    const { unique, numbers, frames } = this.#group(table, wordsOf(keys));
    const rows = new Float32Array(unique * dim);
    await Promise.all(
      frames.map(async (to) => {
        const values = new Float32Array(to.order.length * dim);
        const pulled = new PulledRows({ rows: values, counts: to.counts, dims: Uint32Array.of(dim) });
        await this.#ask(to, { opcode: "pull", ...sectionsOf(table, to) }, pulled);
        to.order.forEach((number, i) => copyRow(rows, number, values, i, dim));
      }),
    );
    if (unique === numbers.length) return rows; // they are numbered in the order given
    const out = new Float32Array(numbers.length * dim);
    numbers.forEach((number, i) => copyRow(out, i, rows, number, dim));
    return out;
  }

  /**
   * Pushes gradients, which the table's optimizer or server update applies at once; resolves when all are applied.
   * Each is applied once, however often links break. Of a push to several PS nodes, or of more than
   * {@link LIMITS.requestFloatsMax} floats, each node's part is applied wholly or not at all.
   *
   * @param o.gradients float32, shape [K, dim]; those of equal keys are combined in their order: summed, or for a
   *   table that keeps the maximum or the last value, that. Not for a table that counts: each occurrence is one
   * @throws {RangeError} a gradient that is not finite, naming its key: nothing is applied then
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable): parts may have been applied, or may not
   */
  async push({ table, keys, gradients }: { table: TableSpec; keys: Keys; gradients?: Float32Array }): Promise<void> {
    const words = wordsOf(keys);
    const pushed = table.optimizer.kind === "count" ? ones(words.length / 2, table) : gradients;
    if (!pushed) throw new TypeError(`push to table "${table.name}": give gradients, ${table.dim} for each key`);
    checkFloats({ what: "gradients", table, words, values: pushed });
    const { unique, numbers, frames } = this.#group(table, words);
    const rows = combined({ table, unique, numbers, gradients: pushed });
    await Promise.all(frames.map((to) => this.#pushFrame(to, sectionsOf(table, to, rows))));
  }

  /** Streams every row of a table, a bounded chunk at a time. */
  async *export(table: TableSpec): AsyncGenerator<ExportedRows> {
    const { job, map } = this.#o;
    for (const [partition, { chain, generation }] of map.entries.entries()) {
      for (let cursor = 0; cursor !== END_OF_EXPORT;) {
        const reply = await this.#send(chain[0]!, () => ({
          opcode: "export",
          job,
          table: table.id,
          cursor,
          partitions: Uint32Array.of(partition),
          generations: Uint32Array.of(generation),
        }));
        cursor = reply.cursor;
        if (reply.keys.length > 0) yield { keys: bigKeys(reply.keys), values: reply.values };
      }
    }
  }

  #group(table: TableSpec, words: Uint32Array) {
    return groupKeys(words, this.#o.map, Math.max(1, Math.floor(LIMITS.requestFloatsMax / table.dim)));
  }

  async #pushFrame(to: NodeKeys, sections: Partial<Frame>): Promise<void> {
    const pushes = this.#pushes;
    assert(pushes, "a client that pushes has a number");
    const sequence = await pushes.next();
    try {
      const reply = await this.#send(to.node, () => {
        const { client, settled } = pushes.identity(sequence);
        const name = { term: client % 2 ** 32, attempt: Math.floor(client / 2 ** 32), step: sequence, cursor: settled };
        return { opcode: "pushDirect", job: this.#o.job, ...sections, ...name };
      });
      refuseStale(reply);
    } finally {
      pushes.settle(sequence);
    }
  }

  async #ask(to: NodeKeys, fields: Partial<Frame> & Pick<Frame, "opcode">, rows?: PulledRows): Promise<Frame> {
    const reply = await this.#send(to.node, () => ({ job: this.#o.job, ...fields }), rows);
    refuseStale(reply);
    return reply;
  }

  /** @param request made anew for each attempt */
  #send(node: number, request: () => Partial<Frame> & Pick<Frame, "opcode">, rows?: PulledRows): Promise<Frame> {
    const { clock, requests, link } = this.#o;
    const attempt = () => requests.ask(link(node), frame(request()), rows);
    return clock ? retry({ clock, attempt }) : attempt();
  }
}

/** Keys of a frame as bigints. */
export function bigKeys(words: Uint32Array): BigUint64Array {
  const copy = words.slice();
  return new BigUint64Array(copy.buffer);
}

/** The sections of a frame, with the rows of its keys if it carries any. */
function sectionsOf(table: TableSpec, to: NodeKeys, rows?: Float32Array): Partial<Frame> {
  const { partitions, generations, counts, keys, order } = to;
  const sections = { tables: Uint32Array.of(table.id), partitions, generations, counts, keys };
  if (!rows) return sections;
  const values = new Float32Array(order.length * table.dim);
  order.forEach((number, i) => copyRow(values, i, rows, number, table.dim));
  return { ...sections, values };
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

function refuseStale(reply: Frame): void {
  if (reply.partitions.length === 0 || reply.opcode === "exportReply") return;
  throw new ClusterError(
    "STALE_GENERATION",
    `partitions ${[...reply.partitions].slice(0, 5).join(", ")} have moved; ask the coordinator for the new map`,
  );
}
