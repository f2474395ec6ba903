/**
 * The bulk of one step on one worker: its samples, their keys, the pull and push frames to every PS node, the rows
 * that came back and the gradients that go out. Made by {@link StepRowsFactory} for (step, attempt, slice).
 */
import type { Batch, Dataset, Split } from "../data/index.ts";
import {
  gatherRows,
  packedWidth,
  sumRowGradients,
  UniqueKeys,
  type KeyPlacement,
  type KeyPlan,
} from "../embedding/index.ts";
import { assert, ProtocolError } from "../errors.ts";
import type { JobManifest } from "../job/index.ts";
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
import type { Frame } from "../wire/index.ts";

export class StepRows {
  readonly batch: Batch;
  readonly #plan: KeyPlan;
  readonly #generations: readonly Uint32Array[];
  readonly #replies: (Float32Array | undefined)[];
  readonly #numbers: Float32Array;
  /** Values of each node's push, once computed. */
  #sums: Float32Array[] | undefined;

  constructor(o: { batch: Batch; plan: KeyPlan; generations: readonly Uint32Array[]; numbers: Float32Array }) {
    this.batch = o.batch;
    this.#plan = o.plan;
    this.#generations = o.generations;
    this.#numbers = o.numbers;
    this.#replies = o.plan.nodes.map(() => undefined);
  }

  get uniqueKeys(): number {
    return this.#plan.uniqueKeys;
  }

  /** float32, shape [B, N] */
  get numbers(): Float32Array {
    return this.#numbers;
  }

  /** The sections of the frame to node number `n`. */
  sections(n: number): Pick<Frame, "tables" | "partitions" | "generations" | "counts" | "keys"> {
    const { partitions, counts, keys } = this.#plan.nodes[n]!;
    return { tables: this.#plan.tables, partitions, generations: this.#generations[n]!, counts, keys };
  }

  /** Takes the rows that node number `n` sent. */
  takeReply(n: number, values: Float32Array): void {
    const { from, to } = this.#plan.nodes[n]!;
    if (values.length !== to - from)
      throw new ProtocolError(`pull reply carries ${values.length} values, its keys need ${to - from}`);
    this.#replies[n] = values;
  }

  /** The pulled rows of every sample side by side: a new float32 array, shape [B, E]. */
  gather(): Float32Array {
    const replies = this.#replies.map((reply) => {
      assert(reply, "rows are gathered before every node has answered");
      return reply;
    });
    const packed = new Float32Array(this.#plan.samples * packedWidth(this.#plan));
    gatherRows({ plan: this.#plan, replies, packed });
    return packed;
  }

  /** @param rowGrads float32, shape [B, E] */
  scatter(rowGrads: Float32Array): void {
    this.#sums = sumRowGradients({ plan: this.#plan, packed: rowGrads });
  }

  /** What to push to node number `n`, once `scatter` was called. */
  gradientsFor(n: number): Float32Array {
    assert(this.#sums, "push before the gradients are there");
    return this.#sums[n]!;
  }
}

export class StepRowsFactory {
  readonly #dataset: Dataset;
  readonly #fields: readonly string[];
  readonly #numberFields: readonly string[];
  readonly #unique: UniqueKeys;
  readonly #placement: KeyPlacement;
  readonly #map: PartitionMap;

  /** @param nodes ids of the PS nodes; a node's number is its place here */
  constructor({
    manifest,
    map,
    dataset,
    nodes,
  }: {
    manifest: JobManifest;
    map: PartitionMap;
    dataset: Dataset;
    nodes: readonly number[];
  }) {
    const { embeddings, numbers } = manifest.model;
    const tableIds = new Map(manifest.tables.map((t) => [t.name, t.id]));
    this.#dataset = dataset;
    this.#fields = embeddings.map((use) => use.field);
    this.#numberFields = numbers.map((n) => n.field);
    this.#unique = new UniqueKeys(embeddings.map((use) => ({ table: tableIds.get(use.table)!, dim: use.dim })));
    const numberOf = new Map(nodes.map((node, n) => [node, n]));
    this.#placement = {
      partitionOf: partitionFunction(map.function, map.entries.length),
      nodeOf: Uint16Array.from(map.entries, (entry) => numberOf.get(entry.chain[0]!)!),
      nodes: nodes.length,
    };
    this.#map = map;
  }

  read(split: Split, samples: Uint32Array): StepRows {
    const batch = this.#dataset.read(split, samples);
    const keys = this.#fields.map((field) => batch.keys.get(field)!);
    const plan = this.#unique.collect({ keys, samples: batch.samples, placement: this.#placement });
    const generations = plan.nodes.map(({ partitions }) => partitions.map((p) => this.#map.entries[p]!.generation));
    return new StepRows({ batch, plan, generations, numbers: this.#packNumbers(batch) });
  }

  #packNumbers(batch: Batch): Float32Array {
    const N = this.#numberFields.length;
    const packed = new Float32Array(batch.samples * N);
    this.#numberFields.forEach((field, n) => {
      const values = batch.numbers.get(field)!;
      for (let b = 0; b < batch.samples; b++) packed[b * N + n] = values[b]!;
    });
    return packed;
  }
}
