/**
 * What of a batch's row gradients travels, and in which form: all rows as they are or in fewer bytes, or the longest
 * rows only. What a form leaves out or rounds away may be kept (`RowResiduals`) and is added when its key comes again.
 *
 * A push is made once and sent as often as need be, always with the same bytes; what is kept changes only when it is
 * settled: when what was sent counts.
 *
 * Shapes: S segments, T tables, U unique keys.
 */
import {
  decodeRows,
  encodeRows,
  longestRows,
  type RowResiduals,
  type TableResiduals,
  type ValueDtype,
} from "../../compression/index.ts";
import { UniqueKeys, type KeyPlacement, type KeyPlan, type NodeKeys } from "../../embedding/index.ts";
import { assert } from "../../errors.ts";
import type { WireSpec } from "../../job/index.ts";
import { KernelMemory } from "../../kernels/index.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import type { Frame } from "../../wire/index.ts";

/** The keys and values of a frame to one node. */
export type RowsOfPush = Pick<
  Frame,
  "tables" | "partitions" | "generations" | "counts" | "keys" | "dtype" | "values" | "coded"
>;

/** The gradients of one batch. */
export interface RowGradients {
  readonly plan: KeyPlan;
  /** Width of each table's rows, shape [T]. */
  readonly dims: Uint32Array;
  /** Of each node's keys, in key order. */
  readonly sums: readonly Float32Array[];
  /** What the plan was made by. */
  readonly placement: KeyPlacement;
  /** Of the partitions of a frame. */
  readonly generationsOf: (partitions: Uint32Array) => Uint32Array;
}

export interface RowPush {
  /** What node number `n` is sent: the same arrays each time. */
  to(n: number): RowsOfPush;
  /** What was sent counts. Once, and before the next push is made. */
  settle(): void;
}

/** Holds nothing between two calls. */
const KERNELS = new KernelMemory();
const NO_BYTES = new Uint8Array(0);
const NO_FLOATS = new Float32Array(0);

/**
 * The push of a batch in the form that a job asks for.
 *
 * @param residuals what was kept so far; where the form keeps nothing, it stays as it is
 */
export function rowPush(gradients: RowGradients, wire: WireSpec, residuals: RowResiduals): RowPush {
  const form = wire.gradients ?? "float32";
  if (typeof form !== "string") return longestOf(gradients, { share: form.topK, residuals });
  if (form !== "float32" && wire.errorFeedback === true) return withFeedback(gradients, form, residuals);
  const { plan, dims, sums } = gradients;
  const sent = plan.nodes.map((node, n) => ({
    ...sectionsOf(gradients, node),
    ...valuesOf(sums[n]!, form, node, dims),
  }));
  return { to: (n) => sent[n]!, settle: () => {} };
}

/** All rows, rounded, with what rounding lost of them before. Where there is no room to keep that, it is let go. */
function withFeedback(gradients: RowGradients, dtype: ValueDtype, residuals: RowResiduals): RowPush {
  const { plan, dims, sums } = gradients;
  const lost = plan.nodes.map((node, n) => {
    const values = sums[n]!.slice();
    eachSegment({ node, dims }, (segment) => {
      addKept(residuals.table(plan.tables[segment.t]!, segment.dim), node.keys, segment, values);
    });
    return values;
  });
  const sent = plan.nodes.map((node, n) => {
    const coded = valuesOf(lost[n]!, dtype, node, dims);
    subtract(lost[n]!, decodeRows(KERNELS, coded.coded, { dtype, counts: node.counts, dims, first: 0 }));
    return { ...sectionsOf(gradients, node), ...coded };
  });
  const keep = () => {
    for (const forgets of [true, false]) {
      for (const [n, node] of plan.nodes.entries()) {
        eachSegment({ node, dims }, (segment) => {
          const table = residuals.table(plan.tables[segment.t]!, segment.dim);
          if (forgets) forgetAll(table, node.keys, segment);
          else keepAll(table, node.keys, segment, lost[n]!);
        });
      }
    }
  };
  return { to: (n) => sent[n]!, settle: settling(residuals, keep) };
}

/**
 * The longest rows, with what was kept of them, and all of dense variables. What has no room among what is kept is sent
 * with the next push, so nothing is lost.
 */
function longestOf(gradients: RowGradients, { share, residuals }: { share: number; residuals: RowResiduals }): RowPush {
  const { plan, dims, placement } = gradients;
  const { tables } = plan;
  const rows = rowsWithKept(gradients, residuals);
  const sends = longestRows(rows, share);

  const chosen = Array.from(tables, () => ({ keys: [] as number[], from: [] as number[] }));
  const choose = (t: number, u: number) => {
    chosen[t]!.keys.push(rows.names[2 * u]!, rows.names[2 * u + 1]!);
    chosen[t]!.from.push(rows.offsets[u]!);
  };
  for (let u = 0; u < rows.offsets.length; u++) if (u >= rows.choice || sends[u] === 1) choose(rows.table[u]!, u);

  // The keys of each table are one list of one sample; what comes twice is summed.
  const unique = new UniqueKeys(Array.from(tables, (table, t) => ({ table, dim: dims[t]!, usage: LIST })));
  const keys = chosen.map((c) => ({ keys: Uint32Array.from(c.keys), offsets: Uint32Array.of(0, c.from.length) }));
  const pushed = unique.collect({ keys, samples: 1, placement });
  const flat = new Float32Array(pushed.rowFloats);
  let occurrence = 0;
  for (const [t, { from }] of chosen.entries())
    for (const at of from) addRow(rows.values, at, flat, pushed.offsets[occurrence++]!, dims[t]!);
  const sent = pushed.nodes.map((node) => {
    const values = flat.subarray(node.from, node.to);
    return { ...sectionsOf({ ...gradients, plan: pushed }, node), ...valuesOf(values, "float32", node, dims) };
  });

  const keep = () => {
    for (const forgets of [true, false]) {
      for (let u = 0; u < rows.choice; u++) {
        const table = residuals.table(tables[rows.table[u]!]!, dims[rows.table[u]!]!);
        const [lo, hi] = [rows.names[2 * u]!, rows.names[2 * u + 1]!];
        if (forgets) table.forget(lo, hi);
        else if (sends[u] === 0 && rows.squares[u]! > 0) table.keep(lo, hi, rows.values, rows.offsets[u]!);
      }
    }
  };
  return { to: (n) => sent[n]!, settle: settling(residuals, keep) };
}

const LIST = { kind: "pooled", combiner: "sum" } as const;

/** Rows to choose from, then those that go in any case: of dense variables, and those that are overdue. */
interface Candidates {
  /** How many there are to choose from: C. */
  readonly choice: number;
  /** Square of the length of each of those, shape [C]. */
  readonly squares: Float64Array;
  /** Position of each row's table in `tables`, shape [U]. */
  readonly table: Uint32Array;
  /** Keys, shape [2U] words. */
  readonly names: Uint32Array;
  /** Where each row begins in `values`, shape [U]. */
  readonly offsets: Uint32Array;
  readonly values: Float32Array;
}

function rowsWithKept({ plan, dims, sums }: RowGradients, residuals: RowResiduals): Candidates {
  const { overdue } = residuals;
  const tables = [...plan.tables];
  const rows = plan.uniqueKeys + overdue.reduce((sum, { keys }) => sum + keys.length / 2, 0);
  const values = new Float32Array(plan.rowFloats + overdue.reduce((sum, late) => sum + late.values.length, 0));
  const [table, names, offsets] = [new Uint32Array(rows), new Uint32Array(2 * rows), new Uint32Array(rows)];
  let u = 0;
  const list = (keys: Uint32Array, { t, first, rows: count, at, dim }: Segment) => {
    for (let k = 0; k < count; k++, u++) {
      table[u] = t;
      names[2 * u] = keys[2 * (first + k)]!;
      names[2 * u + 1] = keys[2 * (first + k) + 1]!;
      offsets[u] = at + k * dim;
    }
  };
  const listAll = (isWanted: (table: number) => boolean) => {
    for (const node of plan.nodes) {
      eachSegment({ node, dims }, (segment) => {
        if (isWanted(tables[segment.t]!)) list(node.keys, { ...segment, at: node.from + segment.at });
      });
    }
  };
  for (const [n, { from }] of plan.nodes.entries()) values.set(sums[n]!, from);
  listAll((id) => id !== DENSE_TABLE.id);
  const choice = u;
  const squares = new Float64Array(choice);
  for (let row = 0; row < choice; row++) {
    const [at, dim] = [offsets[row]!, dims[table[row]!]!];
    residuals.table(tables[table[row]!]!, dim).addTo(names[2 * row]!, names[2 * row + 1]!, values, at);
    squares[row] = squareOf(values, at, dim);
  }
  listAll((id) => id === DENSE_TABLE.id);
  let at = plan.rowFloats;
  for (const late of overdue) {
    const t = tables.indexOf(late.table);
    assert(t >= 0, `gradients of table ${late.table} were kept, which the model does not use`);
    list(late.keys, { t, first: 0, rows: late.keys.length / 2, at, dim: dims[t]! });
    values.set(late.values, at);
    at += late.values.length;
  }
  return { choice, squares, table, names, offsets, values };
}

/**
 * What is kept changes once, and only if it is still what the push was made with. `keep` forgets all keys of the batch
 * before it keeps the first: what makes room for that must not take what is in the push.
 */
function settling(residuals: RowResiduals, keep: () => void): () => void {
  const { time } = residuals;
  let isSettled = false;
  return () => {
    if (isSettled) return;
    isSettled = true;
    assert(residuals.time === time, "a push of rows is settled after another one that was made with what it changed");
    residuals.begin();
    keep();
  };
}

function sectionsOf({ plan, generationsOf }: Pick<RowGradients, "plan" | "generationsOf">, node: NodeKeys) {
  const { partitions, counts, keys } = node;
  return { tables: plan.tables, partitions, generations: generationsOf(partitions), counts, keys };
}

function valuesOf(values: Float32Array, dtype: ValueDtype, { counts }: NodeKeys, dims: Uint32Array) {
  if (dtype === "float32") return { dtype, values, coded: NO_BYTES };
  return { dtype, values: NO_FLOATS, coded: encodeRows(KERNELS, values, { dtype, counts, dims }) };
}

/** Rows of one table in one segment of a node. */
interface Segment {
  /** Position of the table. */
  readonly t: number;
  /** Of the first key among the node's. */
  readonly first: number;
  readonly rows: number;
  /** Where the first row begins among the node's floats. */
  readonly at: number;
  readonly dim: number;
}

function eachSegment({ node, dims }: { node: NodeKeys; dims: Uint32Array }, visit: (segment: Segment) => void): void {
  const T = dims.length;
  let [first, at] = [0, 0];
  for (const [i, rows] of node.counts.entries()) {
    const [t, dim] = [i % T, dims[i % T]!];
    if (rows > 0) visit({ t, first, rows, at, dim });
    first += rows;
    at += rows * dim;
  }
}

// -- the loops -----------------------------------------------------------------------------------------------

function addKept(
  table: TableResiduals,
  keys: Uint32Array,
  { first, rows, at, dim }: Segment,
  values: Float32Array,
): void {
  for (let k = 0; k < rows; k++) table.addTo(keys[2 * (first + k)]!, keys[2 * (first + k) + 1]!, values, at + k * dim);
}

function forgetAll(table: TableResiduals, keys: Uint32Array, { first, rows }: Segment): void {
  for (let k = first; k < first + rows; k++) table.forget(keys[2 * k]!, keys[2 * k + 1]!);
}

function keepAll(
  table: TableResiduals,
  keys: Uint32Array,
  { first, rows, at, dim }: Segment,
  values: Float32Array,
): void {
  for (let k = 0; k < rows; k++) table.keep(keys[2 * (first + k)]!, keys[2 * (first + k) + 1]!, values, at + k * dim);
}

function subtract(from: Float32Array, values: Float32Array): void {
  for (let i = 0; i < from.length; i++) from[i]! -= values[i]!;
}

function addRow(from: Float32Array, at: number, to: Float32Array, toAt: number, dim: number): void {
  for (let d = 0; d < dim; d++) to[toAt + d]! += from[at + d]!;
}

function squareOf(values: Float32Array, at: number, dim: number): number {
  let sum = 0;
  for (let d = 0; d < dim; d++) sum += values[at + d]! * values[at + d]!;
  return sum;
}
