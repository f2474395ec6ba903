/**
 * What travels between a reducer and a volunteer in bulk: samples with their rows one way, gradients the other. Rows and
 * their gradients go in the job's form, anything but float32 as bfloat16; the rest is float32.
 *
 * Shapes: b samples of a task, E floats of a sample's rows, N of its numbers, M of its masks, L of its label.
 */
import { decodeValues, encodeValues, type ValueDtype } from "../../compression/index.ts";
import { ProtocolError } from "../../errors.ts";
import {
  floatsOfNumbers,
  floatsOfUse,
  maskedPlacesOfUse,
  type JobManifest,
  type ModelSpec,
  type WireForm,
} from "../../job/index.ts";
import { KernelMemory } from "../../kernels/index.ts";
import { frame, type Frame, type Opcode } from "../../wire/index.ts";
import type { StepInput } from "../job/gradient-model.ts";

/** They hold nothing between two calls. */
const KERNELS = new KernelMemory();

/** Floats of one sample. */
export interface SampleFloats {
  readonly rows: number;
  readonly numbers: number;
  readonly masks: number;
}

export function sampleFloats({ embeddings, numbers }: Pick<ModelSpec, "embeddings" | "numbers">): SampleFloats {
  const sum = <T>(of: readonly T[], floats: (one: T) => number): number =>
    of.reduce((total, one) => total + floats(one), 0);
  return {
    rows: sum(embeddings, floatsOfUse),
    numbers: sum(numbers, floatsOfNumbers),
    masks: sum(embeddings, maskedPlacesOfUse),
  };
}

/** In which form rows, and their gradients, travel. */
export interface LeafForms {
  readonly rows: ValueDtype;
  readonly gradients: ValueDtype;
}

export function leafForms({ fit: { wire = {} } }: Pick<JobManifest, "fit">): LeafForms {
  return { rows: formOf(wire.rows), gradients: formOf(wire.gradients) };
}

function formOf(form: WireForm | undefined): ValueDtype {
  return form === undefined || form === "float32" ? "float32" : "bfloat16";
}

/** Samples `from` to `to` of a step's. */
export function sliceOfInput(at: StepInput, from: number, to: number): StepInput {
  const part = (values: Float32Array): Float32Array => {
    const floats = values.length / at.samples;
    return values.subarray(from * floats, to * floats);
  };
  return {
    rows: part(at.rows),
    numbers: part(at.numbers),
    masks: at.masks && part(at.masks),
    label: part(at.label),
    weight: at.weight && part(at.weight),
    samples: to - from,
    globalSamples: at.globalSamples,
    step: at.step,
  };
}

/** The frames of a task, for the message "leaf-task" that follows them. */
export function taskFrames(task: number, at: StepInput, { rows: dtype }: LeafForms): Frame[] {
  const { rows, numbers, masks, label, weight } = at;
  const inputs = joined([numbers, masks, label, weight].filter((values) => values !== undefined));
  return [valuesFrame("leafRows", task, rows, dtype), frame({ opcode: "leafInputs", requestId: task, values: inputs })];
}

/**
 * Reads what {@link taskFrames} wrote.
 *
 * @throws {ProtocolError} another number of values than so many samples have
 */
export function inputOfTask(
  { rows, inputs }: { rows: Float32Array; inputs: Float32Array },
  of: { samples: number; globalSamples: number; weighted: boolean; floats: SampleFloats },
): StepInput {
  const { samples, globalSamples, weighted, floats } = of;
  const before = samples * (floats.numbers + floats.masks);
  const labels = inputs.length - before - (weighted ? samples : 0);
  if (rows.length !== samples * floats.rows || labels < 0 || labels % samples !== 0) {
    throw new ProtocolError(
      `a task of ${samples} samples came with ${rows.length} floats of rows and ${inputs.length} others; expected ` +
        `${floats.rows} a sample, and ${floats.numbers + floats.masks} beside its label`,
    );
  }
  const numbersEnd = samples * floats.numbers;
  return {
    rows,
    numbers: inputs.subarray(0, numbersEnd),
    masks: floats.masks > 0 ? inputs.subarray(numbersEnd, before) : undefined,
    label: inputs.subarray(before, before + labels),
    weight: weighted ? inputs.subarray(before + labels) : undefined,
    samples,
    globalSamples,
  };
}

/** Values of a frame in the form that the job has for them. */
export function valuesFrame(opcode: Opcode, task: number, values: Float32Array, dtype: ValueDtype): Frame {
  const content = dtype === "float32" ? { values } : { coded: encodeValues(KERNELS, values, { dtype, dim: 1 }) };
  return frame({ opcode, requestId: task, dtype, ...content });
}

/** A copy of a frame's values, whatever form they came in. */
export function valuesOfFrame({ dtype, values, coded }: Frame): Float32Array {
  if (dtype === "float32") return values.slice();
  if (dtype === "int8") throw new ProtocolError("volunteers' values travel as float32 or bfloat16, not as int8");
  return decodeValues(KERNELS, coded, { dtype, rows: coded.length / 2, dim: 1 });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((floats, part) => floats + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
