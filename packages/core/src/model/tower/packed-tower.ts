/**
 * Runs a tower on packed inputs: all rows of a sample side by side in one tensor, [B, E], all its numbers in another,
 * [B, N], and the masks of its sequences in a third, [B, M]. One tensor goes up to the device, and one gradient comes
 * down.
 *
 * The tower asks for each use's rows apart. Cutting 24 × 16 columns of 2048 samples apart and joining them again, forward
 * and backward, costs 50 ms on wasm, twice what the rest of the step does (tfjs 4.22, Node 24, EPYC, November 2026); so
 * a layer that joins or adds uses that lie side by side gets the columns as they are, and nothing is cut.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { layers, LayersModel, SymbolicTensor } from "@tensorflow/tfjs-layers";
import { assert } from "../../errors.ts";
import { floatsOfNumbers, floatsOfUse, type ModelSpec } from "../../job/manifest.ts";
import { pairInteractions } from "../layers/fm.ts";
import { completeGradients } from "./complete-gradients.ts";

/** Columns [from, to) of a packed input, seen as `shape` for each sample. */
interface Columns {
  kind: "columns";
  source: "rows" | "numbers";
  from: number;
  to: number;
  shape: readonly number[];
  /** Columns of the masks. */
  mask?: { from: number; to: number };
}

/** What a step of the program reads: columns, or the output of an earlier step. */
type Operand = Columns | { kind: "value"; id: number };

type Step =
  | { op: "layer"; layer: layers.Layer; inputs: Operand[]; outputs: number[] }
  | { op: "concat"; inputs: Operand[]; outputs: number[] }
  /** Adds parts of equal width that lie side by side. */
  | { op: "add"; columns: Columns; width: number; outputs: number[] }
  | { op: "fm"; columns: Columns; width: number; outputs: number[] };

/** What a step gives, with the mask that some layers pass along. */
interface Value {
  tensor: tf.Tensor;
  mask: tf.Tensor | null;
}

export interface PackedInputs {
  /** Shape [B, E]. */
  rows: tf.Tensor2D;
  /** Shape [B, N]. */
  numbers: tf.Tensor2D;
  /** 1 where a place of a masked sequence counts, else 0, shape [B, M]; undefined where M = 0. */
  masks?: tf.Tensor2D | undefined;
}

/** A tower compiled to a list of steps. It owns no tensors: the weights are the tower's. */
export class PackedTower {
  readonly #steps: readonly Step[];
  readonly #output: Operand;
  /** Where each packed input is cut, ascending, from 0 to its width. */
  readonly #cuts: Readonly<Record<Columns["source"], readonly number[]>>;

  constructor(tower: LayersModel, { embeddings, numbers }: Pick<ModelSpec, "embeddings" | "numbers">) {
    completeGradients();
    const columns = columnsOf({ embeddings, numbers });
    const program = programOf(tower, columns);
    this.#steps = program.steps;
    this.#output = program.output;
    this.#cuts = cutsOf(program);
  }

  /**
   * Call it inside `tf.tidy`.
   *
   * @param options.mode tfjs's `training` argument of layers such as dropout
   * @returns the tower's output, shape [B, K] or [B]
   */
  run(inputs: PackedInputs, { mode }: { mode: "train" | "predict" }): tf.Tensor {
    const values = new Map<number, Value>();
    const parts = new Map<string, tf.Tensor2D>();
    const columns = ({ source, from, to }: Columns): tf.Tensor2D => {
      const key = `${source}/${from}/${to}`;
      let part = parts.get(key);
      if (!part) parts.set(key, (part = this.#cut(inputs, { source, from, to }, parts)));
      return part;
    };
    const input = (operand: Columns): Value => {
      const part = columns(operand);
      const { shape } = operand;
      const tensor = shape.length === 1 ? part : tf.reshape(part, [part.shape[0], ...shape]);
      return { tensor, mask: operand.mask && inputs.masks ? maskOf(inputs.masks, operand.mask, parts) : null };
    };
    const read = (operand: Operand): Value => (operand.kind === "columns" ? input(operand) : values.get(operand.id)!);
    for (const step of this.#steps) {
      const outputs = runStep(step, { read, columns, mode });
      for (const [i, id] of step.outputs.entries()) values.set(id, outputs[i]!);
    }
    return read(this.#output).tensor;
  }

  /** Columns of an input, from one split of it: a split's gradient is one concatenation. */
  #cut(
    inputs: PackedInputs,
    { source, from, to }: Pick<Columns, "source" | "from" | "to">,
    parts: Map<string, tf.Tensor2D>,
  ): tf.Tensor2D {
    const whole = inputs[source];
    const cuts = this.#cuts[source];
    if (from === 0 && to === cuts.at(-1)) return whole;
    const sizes = cuts.slice(1).map((cut, i) => cut - cuts[i]!);
    if (!parts.has(atomKey(source, 0))) {
      for (const [i, part] of tf.split<tf.Tensor2D>(whole, sizes, 1).entries()) parts.set(atomKey(source, i), part);
    }
    const atoms = sizes.flatMap((_, i) => (cuts[i]! >= from && cuts[i]! < to ? [parts.get(atomKey(source, i))!] : []));
    return atoms.length === 1 ? atoms[0]! : tf.concat2d(atoms, 1);
  }
}

const atomKey = (source: string, i: number): string => `${source}/atom ${i}`;

/** The mask of one sequence, as layers take it: bool, shape [B, length]. */
function maskOf(
  masks: tf.Tensor2D,
  { from, to }: { from: number; to: number },
  parts: Map<string, tf.Tensor2D>,
): tf.Tensor2D {
  const key = `masks/${from}/${to}`;
  let mask = parts.get(key);
  if (!mask) parts.set(key, (mask = tf.notEqual(tf.slice2d(masks, [0, from], [-1, to - from]), 0)));
  return mask;
}

interface Machine {
  read: (operand: Operand) => Value;
  columns: (columns: Columns) => tf.Tensor2D;
  mode: "train" | "predict";
}

function runStep(step: Step, { read, columns, mode }: Machine): Value[] {
  switch (step.op) {
    case "layer":
      return runLayer(step.layer, step.inputs.map(read), mode);
    case "concat":
      return [
        unmasked(
          tf.concat2d(
            step.inputs.map((operand) => read(operand).tensor as tf.Tensor2D),
            1,
          ),
        ),
      ];
    case "add": {
      const packed = columns(step.columns);
      const [B, E] = packed.shape;
      return [
        unmasked(
          step.width === 1 ? tf.sum(packed, 1, true) : tf.sum(tf.reshape(packed, [B, E / step.width, step.width]), 1),
        ),
      ];
    }
    case "fm":
      return [unmasked(pairInteractions(columns(step.columns), step.width))];
    default:
      return step satisfies never;
  }
}

const unmasked = (tensor: tf.Tensor): Value => ({ tensor, mask: null });

/** Calls a layer as tfjs's own executor does. */
function runLayer(layer: layers.Layer, inputs: Value[], mode: "train" | "predict"): Value[] {
  const tensors = inputs.map(({ tensor }) => tensor);
  const masks = inputs.map(({ mask }) => mask);
  const masked = masks.some((mask) => mask !== null);
  const applied = layer.apply(tensors, { training: mode === "train", ...(masked ? { mask: masks[0] } : {}) });
  const outputs = (Array.isArray(applied) ? applied : [applied]) as tf.Tensor[];
  const mask = maskBehind(layer, tensors, masks);
  return outputs.map((tensor) => ({ tensor, mask }));
}

/** The mask that a layer passes on. */
function maskBehind(layer: layers.Layer, tensors: tf.Tensor[], masks: (tf.Tensor | null)[]): tf.Tensor | null {
  // Workaround: `Merge.computeMask` of tfjs 4.22 (layers/merge.ts) gives masks a leading axis and leaves out the last
  // one; Keras joins them all. Delete this when it does so too.
  if (MERGES.has(layer.getClassName())) {
    const present = masks.filter((mask) => mask !== null);
    return present.length === 0 ? null : present.reduce((all, mask) => tf.logicalAnd(all, mask));
  }
  const mask = layer.supportsMasking ? layer.computeMask(tensors, masks as tf.Tensor[]) : null;
  return (Array.isArray(mask) ? mask[0] : mask) ?? null;
}

const MERGES: ReadonlySet<string> = new Set(["Add", "Multiply", "Average", "Maximum", "Minimum"]);

// -- compiling -----------------------------------------------------------------------------------------------

/** The columns of each input of the tower, by the input's name. */
function columnsOf({ embeddings, numbers }: Pick<ModelSpec, "embeddings" | "numbers">): Map<string, Columns> {
  const columns = new Map<string, Columns>();
  let at = 0;
  let maskAt = 0;
  for (const use of embeddings) {
    const { usage, dim } = use;
    const place = { kind: "columns", source: "rows", from: at, to: (at += floatsOfUse(use)) } as const;
    if (usage.kind !== "sequence") columns.set(use.input, { ...place, shape: [dim] });
    else if (usage.mask === "none") columns.set(use.input, { ...place, shape: [usage.length, dim] });
    else {
      const mask = { from: maskAt, to: (maskAt += usage.length) };
      columns.set(use.input, { ...place, shape: [usage.length, dim], mask });
    }
  }
  at = 0;
  for (const use of numbers) {
    const to = at + floatsOfNumbers(use);
    columns.set(use.input, { kind: "columns", source: "numbers", from: at, to, shape: use.shape });
    at = to;
  }
  return columns;
}

interface Program {
  steps: Step[];
  output: Operand;
  columns: ReadonlyMap<string, Columns>;
}

/** The tower's calls, each after those it depends on. */
function programOf(tower: LayersModel, columns: ReadonlyMap<string, Columns>): Program {
  const steps: Step[] = [];
  const done = new Map<number, Operand>();
  const visit = (tensor: SymbolicTensor): Operand => {
    const known = done.get(tensor.id);
    if (known) return known;
    const layer = tensor.sourceLayer;
    const input = columns.get(layer.name);
    if (input) return input;
    const node = layer.inboundNodes[tensor.nodeIndex]!;
    const inputs = node.inputTensors.map(visit);
    const widths = node.inputTensors.map(({ shape }) => shape[1] ?? 1);
    const outputs = node.outputTensors.map(({ id }) => id);
    const [first] = inputs;
    if (first!.kind === "columns" && RESHAPES.has(layer.getClassName()) && isRowMajor(layer)) {
      const { mask: _, ...same } = first!;
      const shape = tensor.shape.slice(1) as number[];
      const seen: Columns = { ...same, shape };
      done.set(tensor.id, seen);
      return seen;
    }
    for (const id of outputs) done.set(id, { kind: "value", id });
    steps.push(stepOf(layer, inputs, widths, outputs));
    return done.get(tensor.id)!;
  };
  const [output] = tower.outputs;
  assert(output && tower.outputs.length === 1, `tower has ${tower.outputs.length} outputs`);
  return { output: visit(output), steps, columns };
}

function stepOf(layer: layers.Layer, inputs: Operand[], widths: number[], outputs: number[]): Step {
  const joined = joinNeighbours(inputs);
  const [columns] = joined;
  const sideBySide =
    joined.length === 1 &&
    columns!.kind === "columns" &&
    inputs.length > 1 &&
    widths.every((width) => width === widths[0]);
  switch (layer.getClassName()) {
    case "Concatenate":
      if (joined.length < inputs.length && isLastAxis(layer)) return { op: "concat", inputs: joined, outputs };
      break;
    case "Add":
      if (sideBySide) return { op: "add", columns: columns as Columns, width: widths[0]!, outputs };
      break;
    case "VolaryFm":
      if (sideBySide) return { op: "fm", columns: columns as Columns, width: widths[0]!, outputs };
      break;
    default:
  }
  return { op: "layer", layer, inputs, outputs };
}

/** Layers that only see their input's floats in another shape; they pass no mask on. */
const RESHAPES: ReadonlySet<string> = new Set(["Flatten", "Reshape"]);

/** `Flatten` can also take channels first, which moves floats. */
function isRowMajor(layer: layers.Layer): boolean {
  return layer.getConfig().dataFormat !== "channelsFirst";
}

/** Called where some inputs are matrices of the tower, so all are: their last axis is 1. */
function isLastAxis(layer: layers.Layer): boolean {
  const { axis } = layer.getConfig();
  return axis === -1 || axis === 1;
}

/** Columns that follow one another become one, where each is one row of floats. */
function joinNeighbours(inputs: readonly Operand[]): Operand[] {
  const joined: Operand[] = [];
  for (const input of inputs) {
    const last = joined.at(-1);
    const follows =
      input.kind === "columns" &&
      last?.kind === "columns" &&
      input.shape.length === 1 &&
      last.shape.length === 1 &&
      last.source === input.source &&
      last.to === input.from;
    if (follows) joined[joined.length - 1] = { ...last, to: input.to, shape: [input.to - last.from] };
    else joined.push(input);
  }
  return joined;
}

/** Where the packed inputs must be cut, so that each operand is a run of whole parts. */
function cutsOf({ steps, output, columns }: Program): Record<Columns["source"], number[]> {
  const operands = steps.flatMap((step) =>
    step.op === "layer" || step.op === "concat" ? step.inputs : [step.columns],
  );
  const cuts = (source: Columns["source"]): number[] => {
    const ends = [0, ...[...columns.values()].filter((each) => each.source === source).map(({ to }) => to)];
    const inside = [...operands, output].flatMap((each) =>
      each.kind === "columns" && each.source === source ? [each.from, each.to] : [],
    );
    return [...new Set([0, ...inside, Math.max(...ends)])].toSorted((a, b) => a - b);
  };
  return { rows: cuts("rows"), numbers: cuts("numbers") };
}
