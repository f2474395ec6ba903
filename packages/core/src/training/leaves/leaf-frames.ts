/**
 * What travels between a reducer and a volunteer in bulk: samples one way, gradients the other, and each row, or its
 * gradient, once. Rows and gradients go in the job's form, anything but float32 as bfloat16; the rest is float32.
 *
 * Shapes: b samples of a task, E floats of a sample's rows in R places of U uses, N of its numbers, M of its masks, L of
 * its label; D distinct rows of the task, F floats of them.
 */
import { decodeValues, encodeValues, type ValueDtype } from "../../compression/index.ts";
import { NO_ROW } from "../../embedding/index.ts";
import { ProtocolError } from "../../errors.ts";
import {
  floatsOfNumbers,
  maskedPlacesOfUse,
  type JobManifest,
  type EmbeddingUse,
  type ModelSpec,
  type WireForm,
} from "../../job/index.ts";
import { KernelMemory } from "../../kernels/index.ts";
import { frame, type Frame, type Opcode } from "../../wire/index.ts";
import type { StepInput } from "../job/gradient-model.ts";
import { DistinctRows, type UsePlaces } from "./distinct-rows.ts";

/** They hold nothing between two calls. */
const KERNELS = new KernelMemory();

/** Floats of one sample. */
export interface SampleFloats {
  /** Of the rows of each use, shape [U]. */
  readonly rows: readonly UsePlaces[];
  readonly numbers: number;
  readonly masks: number;
}

export function sampleFloats({ embeddings, numbers }: Pick<ModelSpec, "embeddings" | "numbers">): SampleFloats {
  const sum = <T>(of: readonly T[], floats: (one: T) => number): number =>
    of.reduce((total, one) => total + floats(one), 0);
  return {
    rows: embeddings.map(placesOfUse),
    numbers: sum(numbers, floatsOfNumbers),
    masks: sum(embeddings, maskedPlacesOfUse),
  };
}

function placesOfUse({ dim, usage }: EmbeddingUse): UsePlaces {
  return { places: usage.kind === "sequence" ? usage.length : 1, width: dim };
}

/** In which form rows, their gradients, and dense gradients travel. */
export interface LeafForms {
  readonly rows: ValueDtype;
  readonly gradients: ValueDtype;
  readonly dense: ValueDtype;
}

export function leafForms({ fit: { wire = {} } }: Pick<JobManifest, "fit">): LeafForms {
  return { rows: formOf(wire.rows), gradients: formOf(wire.gradients), dense: formOf(wire.dense) };
}

function formOf(form: WireForm | undefined): ValueDtype {
  return form === undefined || form === "float32" ? "float32" : "bfloat16";
}

/** Samples `from` to `to` of a step's. */
export function sliceOfInput(at: StepInput, from: number, to: number): StepInput {
  const part = <T extends Float32Array | Uint32Array>(values: T): T => {
    const each = values.length / at.samples;
    return values.subarray(from * each, to * each) as T;
  };
  const { rowIds } = at;
  return {
    rows: part(at.rows),
    rowIds: rowIds && (() => part(rowIds())),
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
export function taskFrames(task: number, at: StepInput, distinct: DistinctRows, { rows: dtype }: LeafForms): Frame[] {
  const { rows, numbers, masks, label, weight } = at;
  const inputs = joined([numbers, masks, label, weight].filter((values) => values !== undefined));
  return [
    valuesFrame("leafRows", task, distinct.once(rows), dtype),
    frame({ opcode: "leafRowNumbers", requestId: task, dtype: "int8", coded: packed(distinct) }),
    frame({ opcode: "leafInputs", requestId: task, values: inputs }),
  ];
}

/** What the frames of a task hold. */
export interface TaskValues {
  /** Each row once: float32, shape [F]. */
  readonly rows: Float32Array;
  /** Packed: {@link rowNumbersOfFrame}. */
  readonly rowNumbers: Uint8Array;
  /** float32 */
  readonly inputs: Float32Array;
}

/**
 * Reads what {@link taskFrames} wrote.
 *
 * @throws {ProtocolError} another number of values than so many samples have
 */
export function inputOfTask(
  { rows, rowNumbers, inputs }: TaskValues,
  of: { samples: number; globalSamples: number; weighted: boolean; floats: SampleFloats },
): { input: StepInput; distinct: DistinctRows } {
  const { samples, globalSamples, weighted, floats } = of;
  const R = floats.rows.reduce((sum, { places }) => sum + places, 0);
  const ids = unpacked(rowNumbers, samples * R);
  const distinct = new DistinctRows({ ids, uses: floats.rows });
  const odd = ids.findIndex((id, i) => id !== distinct.numbers[i]);
  if (odd >= 0)
    throw new ProtocolError(`place ${odd} of a task has row ${ids[odd]}, before row ${distinct.numbers[odd]} has come`);
  const before = samples * (floats.numbers + floats.masks);
  const labels = inputs.length - before - (weighted ? samples : 0);
  if (rows.length !== distinct.floats || labels < 0 || labels % samples !== 0) {
    throw new ProtocolError(
      `a task of ${samples} samples came with ${rows.length} floats of rows and ${inputs.length} others; expected ` +
        `${distinct.floats} of ${distinct.count} rows, and ${floats.numbers + floats.masks} a sample beside its label`,
    );
  }
  const numbersEnd = samples * floats.numbers;
  const input = {
    rows: distinct.atPlaces(rows),
    numbers: inputs.subarray(0, numbersEnd),
    masks: floats.masks > 0 ? inputs.subarray(numbersEnd, before) : undefined,
    label: inputs.subarray(before, before + labels),
    weight: weighted ? inputs.subarray(before + labels) : undefined,
    samples,
    globalSamples,
  };
  return { input, distinct };
}

/** `NO_ROW` in two bytes. */
const NO_ROW_16 = 0xffff;

/** The number of each place's row: in two bytes where there are few enough, else in four. */
function packed({ numbers, count }: DistinctRows): Uint8Array {
  const words = count < NO_ROW_16 ? Uint16Array.from(numbers) : numbers; // NO_ROW becomes NO_ROW_16
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** @throws {ProtocolError} another number of bytes than so many places take */
function unpacked(bytes: Uint8Array, places: number): Uint32Array {
  const { buffer, byteOffset, length } = bytes;
  if (length === 4 * places) return new Uint32Array(buffer, byteOffset, places);
  if (length === 2 * places)
    return Uint32Array.from(new Uint16Array(buffer, byteOffset, places), (n) => (n === NO_ROW_16 ? NO_ROW : n));
  throw new ProtocolError(`${length} bytes of row numbers; ${places} places have ${2 * places} or ${4 * places}`);
}

/** Values of a frame in the form that the job has for them. */
export function valuesFrame(opcode: Opcode, task: number, values: Float32Array, dtype: ValueDtype): Frame {
  const content = dtype === "float32" ? { values } : { coded: encodeValues(KERNELS, values, { dtype, dim: 1 }) };
  return frame({ opcode, requestId: task, dtype, ...content });
}

/** A copy of the bytes of a frame that says which row each place has. */
export function rowNumbersOfFrame({ dtype, coded }: Frame): Uint8Array {
  if (dtype !== "int8") throw new ProtocolError(`numbers of rows travel as bytes, not as ${dtype}`);
  return new Uint8Array(coded); // a Buffer's slice() would not copy
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
