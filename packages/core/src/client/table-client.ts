/**
 * Whole rows by key, for what is no training step: set, get and export of a job's tables. The path of a step,
 * with its fused frames and early pulls, is in `training/`.
 */
import { ClusterError } from "../errors.ts";
import { partitionFunction, type PartitionMap, type TableSpec } from "../partition/index.ts";
import { END_OF_EXPORT, frame, type Frame, type Link } from "../wire/index.ts";
import type { Requests } from "./requests.ts";

export interface ExportedRows {
  /** 64-bit keys, shape [K]. */
  keys: BigUint64Array;
  /** float32, shape [K, dim]. */
  values: Float32Array;
}

export class TableClient {
  readonly #job: number;
  readonly #map: PartitionMap;
  readonly #requests: Requests;
  readonly #link: (node: number) => Link;

  constructor(o: { job: number; map: PartitionMap; requests: Requests; link: (node: number) => Link }) {
    this.#job = o.job;
    this.#map = o.map;
    this.#requests = o.requests;
    this.#link = o.link;
  }

  /**
   * Overwrites whole rows.
   *
   * @param keys 64-bit, unique, shape [K], any order
   * @param values float32, shape [K, dim]
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable)
   */
  async set({ table, keys, values }: { table: TableSpec; keys: BigUint64Array; values: Float32Array }): Promise<void> {
    const { dim } = table;
    if (values.length !== keys.length * dim)
      throw new RangeError(
        `${keys.length} keys of table ${table.name} need ${keys.length * dim} values, got ${values.length}`,
      );
    await Promise.all(
      this.#byNode(keys).map(async ({ node, order, ...sections }) => {
        const grouped = new Float32Array(order.length * dim);
        order.forEach((key, i) => grouped.set(values.subarray(key * dim, (key + 1) * dim), i * dim));
        const reply = await this.#requests.ask(
          this.#link(node),
          frame({ opcode: "set", job: this.#job, tables: Uint32Array.of(table.id), ...sections, values: grouped }),
        );
        refuseStale(reply);
      }),
    );
  }

  /**
   * Reads rows as they are committed; a row that was never pushed reads as its initial value.
   *
   * @param keys 64-bit, unique, shape [K], any order
   * @returns float32, shape [K, dim], in key order; the caller owns it
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable)
   */
  async get({ table, keys }: { table: TableSpec; keys: BigUint64Array }): Promise<Float32Array> {
    const { dim } = table;
    const out = new Float32Array(keys.length * dim);
    await Promise.all(
      this.#byNode(keys).map(async ({ node, order, ...sections }) => {
        const reply = await this.#requests.ask(
          this.#link(node),
          frame({ opcode: "pull", job: this.#job, tables: Uint32Array.of(table.id), ...sections }),
        );
        refuseStale(reply);
        order.forEach((key, i) => out.set(reply.values.subarray(i * dim, (i + 1) * dim), key * dim));
      }),
    );
    return out;
  }

  /** Streams every row of a table, a bounded chunk at a time. */
  async *export(table: TableSpec): AsyncGenerator<ExportedRows> {
    for (let partition = 0; partition < this.#map.entries.length; partition++) {
      const entry = this.#map.entries[partition]!;
      for (let cursor = 0; cursor !== END_OF_EXPORT;) {
        const request = frame({
          opcode: "export",
          job: this.#job,
          table: table.id,
          cursor,
          partitions: Uint32Array.of(partition),
          generations: Uint32Array.of(entry.generation),
        });
        const reply = await this.#requests.ask(this.#link(entry.chain[0]!), request);
        cursor = reply.cursor;
        if (reply.keys.length > 0) yield { keys: bigKeys(reply.keys), values: reply.values };
      }
    }
  }

  /** Keys by owning node, partition by partition, ascending within: the order of a frame. `order` are key numbers. */
  #byNode(
    keys: BigUint64Array,
  ): ({ node: number; order: number[] } & Pick<Frame, "partitions" | "generations" | "counts" | "keys">)[] {
    const partitionOf = partitionFunction(this.#map.function, this.#map.entries.length);
    const words = new Uint32Array(keys.buffer, keys.byteOffset, keys.length * 2);
    const byPartition = new Map<number, number[]>();
    for (let i = 0; i < keys.length; i++) {
      const partition = partitionOf(words[2 * i]!, words[2 * i + 1]!);
      const members = byPartition.get(partition);
      if (members) members.push(i);
      else byPartition.set(partition, [i]);
    }
    const byNode = new Map<number, number[]>();
    for (const partition of [...byPartition.keys()].sort((a, b) => a - b)) {
      const node = this.#map.entries[partition]!.chain[0]!;
      const partitions = byNode.get(node);
      if (partitions) partitions.push(partition);
      else byNode.set(node, [partition]);
    }
    return [...byNode].map(([node, partitions]) => {
      const order = partitions.flatMap((p) => byPartition.get(p)!.sort((a, b) => (keys[a]! < keys[b]! ? -1 : 1)));
      return {
        node,
        order,
        partitions: Uint32Array.from(partitions),
        generations: Uint32Array.from(partitions, (p) => this.#map.entries[p]!.generation),
        counts: Uint32Array.from(partitions, (p) => byPartition.get(p)!.length),
        keys: new Uint32Array(BigUint64Array.from(order, (i) => keys[i]!).buffer),
      };
    });
  }
}

/** Keys of a frame as bigints. */
export function bigKeys(words: Uint32Array): BigUint64Array {
  const copy = words.slice();
  return new BigUint64Array(copy.buffer);
}

function refuseStale(reply: Frame): void {
  if (reply.partitions.length === 0) return;
  throw new ClusterError(
    "STALE_GENERATION",
    `partitions ${[...reply.partitions].slice(0, 5).join(", ")} have moved; ask the coordinator for the new map`,
  );
}
