/**
 * The bulk of one step on one worker: its samples, their keys, the pull and push frames to every PS node, the rows
 * that came back and the gradients that go out. Made by {@link StepRowsFactory} for (step, attempt, slice), and for
 * one partition map: its frames go to the heads of that map.
 *
 * Shapes: B samples, E floats of a sample's rows, N floats of its numbers, M places of its masked sequences.
 */
import { headsOf, type PulledRows } from "../../client/index.ts";
import { RowResiduals } from "../../compression/index.ts";
import { weighingSamples, type Batch, type Dataset, type Split } from "../../data/index.ts";
import {
  copyAside,
  gatherRows,
  packedWidth,
  placeAside,
  rowIdsOf,
  sumRowGradients,
  UniqueKeys,
  type KeyPlacement,
  type KeyPlan,
} from "../../embedding/index.ts";
import { assert } from "../../errors.ts";
import type { EmbeddingUse, JobManifest, NumberUse, WireSpec } from "../../job/index.ts";
import { partitionFunction, type PartitionMap } from "../../partition/index.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import { frame, type Frame } from "../../wire/index.ts";
import { RowCache, type RowAge } from "./row-cache.ts";
import { keysOf, packNumbers } from "./batch-inputs.ts";
import { denseKeys } from "../dense/dense-table.ts";
import { RowBuffers } from "./row-buffers.ts";
import { RowPull, type RowPullOptions } from "./row-pull.ts";
import { rowPush, type RowPush, type RowsOfPush } from "./row-push.ts";

/** The PS nodes that a step's frames go to. */
export interface Route {
  /** Of the partition map: the version in which a head changed last. */
  readonly heads: number;
  /** Ids of the heads, ascending; a node's number is its place here. */
  readonly nodes: readonly number[];
}

export class StepRows {
  readonly batch: Batch;
  /** Where its frames go. */
  readonly route: Route;
  readonly #o: StepRowsOptions;
  readonly #pull: RowPull;
  /** Gradients of each node's keys, once computed. */
  #sums: readonly Float32Array[] | undefined;
  #push: RowPush | undefined;
  #rowIds: Uint32Array | undefined;

  constructor(o: StepRowsOptions) {
    this.#o = o;
    this.batch = o.batch;
    this.route = o.route;
    this.#pull = new RowPull(o);
  }

  get uniqueKeys(): number {
    return this.#o.plan.uniqueKeys;
  }

  /** Rows of samples, those of dense variables not among them, and how many were kept from before. */
  get use(): { rows: number; cachedRows: number } {
    return { rows: this.#pull.keys, cachedRows: this.#pull.keptKeys };
  }

  /** float32, shape [B, M]; undefined where M = 0 */
  get masks(): Float32Array | undefined {
    return this.#o.plan.masks;
  }

  /** float32, shape [B, N] */
  get numbers(): Float32Array {
    return this.#o.numbers;
  }

  /** Which places of {@link gather}'s rows have the same row, shape [B, R]: found when it is first asked. */
  rowIds(): Uint32Array {
    return (this.#rowIds ??= rowIdsOf(this.#o.plan));
  }

  /** Is node number `n` asked for any row? */
  asks(n: number): boolean {
    return this.#pull.asks(n);
  }

  /** The sections and the dtype of the pull from node number `n`. */
  sections(n: number): Pick<Frame, "dtype" | "tables" | "partitions" | "generations" | "counts" | "keys"> {
    const { plan, wire, generationsOf } = this.#o;
    const { partitions, counts, keys } = this.#pull.asked[n]!;
    const { rows: dtype = "float32" } = wire;
    return { dtype, tables: plan.tables, partitions, generations: generationsOf(partitions), counts, keys };
  }

  /** Takes the rows that node number `n` sends. */
  pulled(n: number): PulledRows {
    return this.#pull.part(n);
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
    copyAside({ plan: this.#o.plan, rows: this.#pull.rows(), flat, dim: DENSE_TABLE.dim });
    return flat;
  }

  /** The pulled rows of every sample side by side: a new float32 array, shape [B, E]. Once: the rows are let go. */
  gather(): Float32Array {
    const { plan } = this.#o;
    const rows = this.#pull.rows();
    const packed = new Float32Array(plan.samples * packedWidth(plan));
    gatherRows({ plan, rows, packed });
    this.release();
    return packed;
  }

  /** Lets the rows go, gathered or not; parts that still come are not taken any more. */
  release(): void {
    this.#pull.release();
  }

  /**
   * @param rowGrads float32, shape [B, E]
   * @param denseGrads float32, all variables in order, where they are rows on the PS
   */
  scatter(rowGrads: Float32Array, denseGrads?: Float32Array): void {
    const { plan } = this.#o;
    this.#sums = sumRowGradients({ plan, packed: rowGrads });
    if (denseGrads) placeAside({ plan, sums: this.#sums, flat: denseGrads, dim: DENSE_TABLE.dim });
    this.#push = undefined;
  }

  /** Gradients of the keys of node number `n`, in key order, once `scatter` was called. */
  gradientsFor(n: number): Float32Array {
    assert(this.#sums, "push before the gradients are there");
    return this.#sums[n]!;
  }

  /**
   * What of the gradients node number `n` is sent: the same arrays each time. What earlier pushes of this worker left
   * out is in it, so the first call comes when the one before is settled.
   */
  push(n: number): RowsOfPush {
    assert(this.#sums, "push before the gradients are there");
    this.#push ??= rowPush({ ...this.#o, sums: this.#sums }, this.#o.wire, this.#o.residuals);
    return this.#push.to(n);
  }

  /** What was pushed counts: what it left out is kept for a later push. Until then it may be given up. */
  settle(): void {
    this.#push?.settle();
  }
}

export interface StepRowsOptions {
  readonly batch: Batch;
  readonly plan: KeyPlan;
  /** Width of each table's rows, shape [T]. */
  readonly dims: Uint32Array;
  readonly numbers: Float32Array;
  readonly wire: WireSpec;
  readonly route: Route;
  readonly placement: KeyPlacement;
  readonly buffers: RowBuffers;
  readonly residuals: RowResiduals;
  readonly kept?: RowPullOptions["kept"];
  readonly generationsOf: (partitions: Uint32Array) => Uint32Array;
}

/** What the keys of a batch travel by. */
export interface RowPlannerOptions {
  manifest: Pick<JobManifest, "model" | "tables"> & { readonly fit?: Pick<JobManifest["fit"], "wire" | "cache"> };
  map: PartitionMap;
  /** Do dense variables travel with the rows, as they do where they are rows on the PS? Not by default. */
  withDense?: boolean | undefined;
  /** What this worker's pushes left out; planners of one worker's pushes have it in common. */
  residuals?: RowResiduals | undefined;
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
  readonly #wire: WireSpec;
  readonly #buffers = new RowBuffers();
  readonly #residuals: RowResiduals;
  readonly #cache: RowCache | undefined;

  constructor({ manifest, map, withDense = false, residuals = new RowResiduals() }: RowPlannerOptions) {
    const { embeddings, numbers, variables } = manifest.model;
    const { wire = {}, cache } = manifest.fit ?? {};
    this.#wire = wire;
    this.#cache = cache && new RowCache(cache);
    this.#residuals = residuals;
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

  /**
   * @param age how old rows may be that are kept from before, where the job keeps any; all are pulled without it
   * @throws {ClusterError} BAD_DATA: a list of weights that is not as long as its list of keys
   */
  rowsOf(batch: Batch, age?: RowAge): StepRows {
    const keys = this.#embeddings.map((use) => keysOf(use, batch));
    const placement = this.#placement;
    const plan = this.#unique.collect({ keys, samples: batch.samples, placement });
    const { entries } = this.#map;
    return new StepRows({
      batch,
      plan,
      dims: plan.tables.map((id) => this.#dimOf.get(id)!),
      numbers: packNumbers(this.#numbers, batch),
      wire: this.#wire,
      route: this.#route,
      placement,
      buffers: this.#buffers,
      residuals: this.#residuals,
      kept: this.#cache && age && { cache: this.#cache, age },
      generationsOf: (partitions) => partitions.map((p) => entries[p]!.generation),
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
