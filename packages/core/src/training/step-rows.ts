/**
 * The bulk of one step on one worker: its samples, their keys, the pull and push frames to every PS node, the rows
 * that came back and the gradients that go out. Made by {@link StepRowsFactory} for (step, attempt, slice), and for
 * one partition map: its frames go to the heads of that map.
 *
 * Shapes: B samples, E floats of a sample's rows, N floats of its numbers, M places of its masked sequences.
 */
import { headsOf, PulledRows } from "../client/index.ts";
import { encodeRows, type ValueDtype } from "../compression/index.ts";
import { weighingSamples, type Batch, type Dataset, type Split } from "../data/index.ts";
import {
  copyAside,
  gatherRows,
  packedWidth,
  placeAside,
  sumRowGradients,
  UniqueKeys,
  type KeyPlacement,
  type KeyPlan,
  type UseKeys,
} from "../embedding/index.ts";
import { assert, ClusterError } from "../errors.ts";
import { KernelMemory } from "../kernels/index.ts";
import { floatsOfNumbers, type EmbeddingUse, type JobManifest, type NumberUse } from "../job/index.ts";
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
import { DENSE_TABLE } from "../table/index.ts";
import { frame, type Frame } from "../wire/index.ts";
import { denseKeys } from "./dense-table.ts";
import { RowBuffers } from "./row-buffers.ts";

/** In which dtypes rows and gradients travel. */
export interface WireDtypes {
  readonly rows: ValueDtype;
  readonly gradients: ValueDtype;
}

/** The PS nodes that a step's frames go to. */
export interface Route {
  /** Of the partition map: the version in which a head changed last. */
  readonly heads: number;
  /** Ids of the heads, ascending; a node's number is its place here. */
  readonly nodes: readonly number[];
}

/** Holds nothing between two calls. */
const KERNELS = new KernelMemory();

export class StepRows {
  readonly batch: Batch;
  readonly wire: WireDtypes;
  /** Where its frames go. */
  readonly route: Route;
  readonly #plan: KeyPlan;
  readonly #generations: readonly Uint32Array[];
  /** Width of each table's rows, shape [T]. */
  readonly #dims: Uint32Array;
  readonly #numbers: Float32Array;
  readonly #buffers: RowBuffers;
  /** The rows of all unique keys, until they are gathered. */
  #rows: Float32Array | undefined;
  /** Per node, from the first pull on. */
  #pulled: readonly PulledRows[] | undefined;
  /** Values of each node's push, once computed. */
  #sums: readonly Float32Array[] | undefined;

  constructor(o: {
    batch: Batch;
    plan: KeyPlan;
    generations: readonly Uint32Array[];
    dims: Uint32Array;
    numbers: Float32Array;
    wire: WireDtypes;
    route: Route;
    buffers: RowBuffers;
  }) {
    this.batch = o.batch;
    this.wire = o.wire;
    this.route = o.route;
    this.#plan = o.plan;
    this.#generations = o.generations;
    this.#dims = o.dims;
    this.#numbers = o.numbers;
    this.#buffers = o.buffers;
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

  /** The sections of the frame to node number `n`: the same arrays each time. */
  sections(n: number): Pick<Frame, "tables" | "partitions" | "generations" | "counts" | "keys"> {
    const { partitions, counts, keys } = this.#plan.nodes[n]!;
    return { tables: this.#plan.tables, partitions, generations: this.#generations[n]!, counts, keys };
  }

  /** Takes the rows that node number `n` sends. */
  pulled(n: number): PulledRows {
    this.#pulled ??= this.#openPulled();
    return this.#pulled[n]!;
  }

  /**
   * Takes all rows that node number `n` sent, in one piece.
   *
   * @throws {ProtocolError} another number of values than its keys need
   */
  takeReply(n: number, values: Float32Array): void {
    this.pulled(n).take(frame({ opcode: "pullReply", values }));
  }

  /**
   * The dense weights, where they are rows on the PS that were pulled with the others. Before {@link gather}.
   *
   * @param floats of all dense variables
   */
  denseWeights(floats: number): Float32Array {
    const flat = new Float32Array(floats);
    copyAside({ plan: this.#plan, rows: this.#pulledRows(), flat, dim: DENSE_TABLE.dim });
    return flat;
  }

  /** The pulled rows of every sample side by side: a new float32 array, shape [B, E]. Once: the rows are let go. */
  gather(): Float32Array {
    const rows = this.#pulledRows();
    const packed = new Float32Array(this.#plan.samples * packedWidth(this.#plan));
    gatherRows({ plan: this.#plan, rows, packed });
    this.release();
    return packed;
  }

  /** Lets the rows go, gathered or not; parts that still come are not taken any more. */
  release(): void {
    if (this.#rows) this.#buffers.give(this.#rows);
    this.#rows = undefined;
    for (const pulled of this.#pulled ?? []) pulled.close();
  }

  /**
   * @param rowGrads float32, shape [B, E]
   * @param denseGrads float32, all variables in order, where they are rows on the PS
   */
  scatter(rowGrads: Float32Array, denseGrads?: Float32Array): void {
    this.#sums = sumRowGradients({ plan: this.#plan, packed: rowGrads });
    if (denseGrads) placeAside({ plan: this.#plan, sums: this.#sums, flat: denseGrads, dim: DENSE_TABLE.dim });
  }

  /** Gradients of the keys of node number `n`, in key order, once `scatter` was called. */
  gradientsFor(n: number): Float32Array {
    assert(this.#sums, "push before the gradients are there");
    return this.#sums[n]!;
  }

  /** The same as a push carries them. */
  pushValues(n: number): Pick<Frame, "dtype" | "values" | "coded"> {
    const dtype = this.wire.gradients;
    const values = this.gradientsFor(n);
    if (dtype === "float32") return { dtype, values, coded: NO_BYTES };
    const { counts } = this.#plan.nodes[n]!;
    return { dtype, values: NO_FLOATS, coded: encodeRows(KERNELS, values, { dtype, counts, dims: this.#dims }) };
  }

  #pulledRows(): Float32Array {
    const isWhole = this.#plan.nodes.every((_, n) => this.pulled(n).whole);
    assert(this.#rows && isWhole, "rows are gathered before they are there");
    return this.#rows;
  }

  #openPulled(): PulledRows[] {
    const rows = this.#buffers.take(this.#plan.rowFloats);
    this.#rows = rows;
    const dims = this.#dims;
    return this.#plan.nodes.map(
      ({ from, to, counts }) => new PulledRows({ rows: rows.subarray(from, to), counts, dims }),
    );
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_FLOATS = new Float32Array(0);

/** What the keys of a batch travel by. */
export interface RowPlannerOptions {
  manifest: Pick<JobManifest, "model" | "tables"> & { readonly fit?: Pick<JobManifest["fit"], "wire"> };
  map: PartitionMap;
  /** Do dense variables travel with the rows, as they do where they are rows on the PS? Not by default. */
  withDense?: boolean;
}

/** Makes step rows of batches, whoever read them. */
export class RowPlanner {
  readonly #embeddings: readonly EmbeddingUse[];
  readonly #numbers: readonly NumberUse[];
  readonly #unique: UniqueKeys;
  #placement: KeyPlacement;
  #map: PartitionMap;
  #route: Route;
  readonly #dimOf: ReadonlyMap<number, number>;
  readonly #wire: WireDtypes;
  readonly #buffers = new RowBuffers();

  constructor({ manifest, map, withDense = false }: RowPlannerOptions) {
    const { embeddings, numbers, variables } = manifest.model;
    const { rows = "float32", gradients = "float32" } = manifest.fit?.wire ?? {};
    this.#wire = { rows, gradients: typeof gradients === "string" ? gradients : "float32" };
    this.#dimOf = new Map([DENSE_TABLE, ...manifest.tables].map(({ id, dim }) => [id, dim]));
    const tableIds = new Map(manifest.tables.map((t) => [t.name, t.id]));
    this.#embeddings = embeddings;
    this.#numbers = numbers;
    this.#unique = new UniqueKeys(
      embeddings.map(({ table, dim, usage }) => ({ table: tableIds.get(table)!, dim, usage })),
      withDense ? { table: DENSE_TABLE.id, dim: DENSE_TABLE.dim, keys: denseKeys(variables) } : undefined,
    );
    this.#map = map;
    this.#route = routeOf(map);
    this.#placement = placementOf(map, this.#route);
  }

  /** The partition map that rows are planned by. */
  get map(): PartitionMap {
    return this.#map;
  }

  /** Where the frames of rows that are planned now go. */
  get route(): Route {
    return this.#route;
  }

  /** Plans by another map from now on. */
  adopt(map: PartitionMap): void {
    this.#map = map;
    this.#route = routeOf(map);
    this.#placement = placementOf(map, this.#route);
  }

  /** @throws {ClusterError} BAD_DATA: a list of weights that is not as long as its list of keys */
  rowsOf(batch: Batch): StepRows {
    const keys = this.#embeddings.map((use) => keysOf(use, batch));
    const plan = this.#unique.collect({ keys, samples: batch.samples, placement: this.#placement });
    const generations = plan.nodes.map(({ partitions }) => partitions.map((p) => this.#map.entries[p]!.generation));
    return new StepRows({
      batch,
      plan,
      generations,
      dims: plan.tables.map((id) => this.#dimOf.get(id)!),
      numbers: packNumbers(this.#numbers, batch),
      wire: this.#wire,
      route: this.#route,
      buffers: this.#buffers,
    });
  }
}

export class StepRowsFactory extends RowPlanner {
  readonly #dataset: Dataset;

  constructor({ dataset, ...options }: RowPlannerOptions & { dataset: Dataset }) {
    super(options);
    this.#dataset = dataset;
  }

  /** The given samples, those aside that weigh nothing. */
  read(split: Split, samples: Uint32Array, epoch: number): StepRows | Promise<StepRows> {
    const batch = this.#dataset.read(split, samples, epoch);
    if (batch instanceof Promise) return batch.then((read) => this.rowsOf(weighingSamples(read)));
    return this.rowsOf(weighingSamples(batch));
  }

  /** The same samples, planned anew if other heads have their rows now. */
  upToDate(rows: StepRows): StepRows {
    return rows.route.heads === this.route.heads ? rows : this.rowsOf(rows.batch);
  }
}

function routeOf(map: PartitionMap): Route {
  return { heads: map.heads, nodes: headsOf(map) };
}

function placementOf(map: PartitionMap, { nodes }: Route): KeyPlacement {
  const numberOf = new Map(nodes.map((node, n) => [node, n]));
  return {
    partitionOf: partitionFunction(map.function, map.entries.length),
    nodeOf: Uint16Array.from(map.entries, (entry) => numberOf.get(entry.chain[0]!)!),
    nodes: nodes.length,
  };
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
