/**
 * The bulk of one step on one worker: its samples, their keys, the pull and push frames to every PS node, the rows
 * that came back and the gradients that go out. Made by {@link StepRowsFactory} for (step, attempt, slice).
 *
 * Shapes: B samples, E floats of a sample's rows, N floats of its numbers, M places of its masked sequences.
 */
import { weighingSamples, type Batch, type Dataset, type Split } from "../data/index.ts";
import {
  gatherRows,
  packedWidth,
  sumRowGradients,
  UniqueKeys,
  type KeyPlacement,
  type KeyPlan,
  type UseKeys,
} from "../embedding/index.ts";
import { assert, ClusterError, ProtocolError } from "../errors.ts";
import { floatsOfNumbers, type EmbeddingUse, type JobManifest, type NumberUse } from "../job/index.ts";
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

  /** float32, shape [B, M]; undefined where M = 0 */
  get masks(): Float32Array | undefined {
    return this.#plan.masks;
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

/** What the keys of a batch travel by. */
export interface RowPlannerOptions {
  manifest: Pick<JobManifest, "model" | "tables">;
  map: PartitionMap;
  /** Ids of the PS nodes; a node's number is its place here. */
  nodes: readonly number[];
}

/** Makes step rows of batches, whoever read them. */
export class RowPlanner {
  readonly #embeddings: readonly EmbeddingUse[];
  readonly #numbers: readonly NumberUse[];
  readonly #unique: UniqueKeys;
  readonly #placement: KeyPlacement;
  readonly #map: PartitionMap;

  constructor({ manifest, map, nodes }: RowPlannerOptions) {
    const { embeddings, numbers } = manifest.model;
    const tableIds = new Map(manifest.tables.map((t) => [t.name, t.id]));
    this.#embeddings = embeddings;
    this.#numbers = numbers;
    this.#unique = new UniqueKeys(
      embeddings.map(({ table, dim, usage }) => ({ table: tableIds.get(table)!, dim, usage })),
    );
    const numberOf = new Map(nodes.map((node, n) => [node, n]));
    this.#placement = {
      partitionOf: partitionFunction(map.function, map.entries.length),
      nodeOf: Uint16Array.from(map.entries, (entry) => numberOf.get(entry.chain[0]!)!),
      nodes: nodes.length,
    };
    this.#map = map;
  }

  /** @throws {ClusterError} BAD_DATA: a list of weights that is not as long as its list of keys */
  rowsOf(batch: Batch): StepRows {
    const keys = this.#embeddings.map((use) => keysOf(use, batch));
    const plan = this.#unique.collect({ keys, samples: batch.samples, placement: this.#placement });
    const generations = plan.nodes.map(({ partitions }) => partitions.map((p) => this.#map.entries[p]!.generation));
    return new StepRows({ batch, plan, generations, numbers: packNumbers(this.#numbers, batch) });
  }
}

export class StepRowsFactory {
  readonly #dataset: Dataset;
  readonly #planner: RowPlanner;

  constructor({ dataset, ...options }: RowPlannerOptions & { dataset: Dataset }) {
    this.#dataset = dataset;
    this.#planner = new RowPlanner(options);
  }

  /** The given samples, those aside that weigh nothing. */
  read(split: Split, samples: Uint32Array, epoch: number): StepRows | Promise<StepRows> {
    const batch = this.#dataset.read(split, samples, epoch);
    if (batch instanceof Promise) return batch.then((read) => this.#planner.rowsOf(weighingSamples(read)));
    return this.#planner.rowsOf(weighingSamples(batch));
  }
}

function keysOf({ field, usage }: EmbeddingUse, batch: Batch): UseKeys {
  if (usage.kind === "one") {
    const keys = batch.keys.get(field);
    assert(keys, `the batch has no keys of field "${field}"`);
    return { keys };
  }
  const lists = batch.keyLists.get(field);
  assert(lists, `the batch has no lists of keys of field "${field}"`);
  if (usage.kind === "sequence" || usage.weights === undefined) return lists;
  const weights = batch.numberLists.get(usage.weights);
  assert(weights, `the batch has no lists of numbers of field "${usage.weights}"`);
  const odd = unevenSample(lists.offsets, weights.offsets, batch.weight);
  if (odd < 0) return { ...lists, weights };
  const lengths = [lists, weights].map(({ offsets }) => offsets[odd + 1]! - offsets[odd]!);
  throw new ClusterError(
    "BAD_DATA",
    `a sample has ${lengths[0]} keys in field "${field}" and ${lengths[1]} weights in field "${usage.weights}"; ` +
      `every key of a row needs one weight: correct the row, or leave the weights out`,
  );
}

/** Numbers of every sample side by side: float32, shape [B, N]. */
function packNumbers(uses: readonly NumberUse[], batch: Batch): Float32Array {
  const N = uses.reduce((floats, use) => floats + floatsOfNumbers(use), 0);
  const packed = new Float32Array(batch.samples * N);
  let at = 0;
  for (const use of uses) {
    const width = floatsOfNumbers(use);
    const values = batch.numbers.get(use.field);
    assert(values, `the batch has no numbers of field "${use.field}"`);
    if (values.length !== batch.samples * width) {
      throw new RangeError(
        `field "${use.field}" gave ${values.length} numbers; ${batch.samples} samples of shape ` +
          `[${use.shape.join(",")}] have ${batch.samples * width}`,
      );
    }
    copyColumns(values, width, packed, at, N);
    at += width;
  }
  return packed;
}

// -- the loops -----------------------------------------------------------------------------------------------

/** First sample whose two lists differ in length; a row without weight in the loss is a bad one, and may. */
function unevenSample(a: Uint32Array, b: Uint32Array, weight: Float32Array | undefined): number {
  for (let s = 0; s + 1 < a.length; s++) {
    if (a[s + 1]! - a[s]! !== b[s + 1]! - b[s]! && weight?.[s] !== 0) return s;
  }
  return -1;
}

function copyColumns(values: Float32Array, width: number, packed: Float32Array, first: number, N: number): void {
  for (let i = 0, at = first; i < values.length; i += width, at += N) {
    for (let j = 0; j < width; j++) packed[at + j] = values[i + j]!;
  }
}
