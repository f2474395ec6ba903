import { describe, expect, test } from "vitest";
import { NO_ROW } from "../../embedding/index.ts";
import { ProtocolError } from "../../errors.ts";
import { bytesOfFrame, decodeFrame, encodeFrame } from "../../wire/index.ts";
import type { StepInput } from "../job/gradient-model.ts";
import { DistinctRows } from "./distinct-rows.ts";
import {
  inputOfTask,
  leafForms,
  rowNumbersOfFrame,
  sliceOfInput,
  taskFrames,
  valuesOfFrame,
  type LeafForms,
  type TaskValues,
} from "./leaf-frames.ts";

const FORMS: LeafForms = { rows: "float32", gradients: "float32", dense: "float32" };
/** A use of one row of two floats, and a sequence of two rows of one float, the second of them masked. */
const FLOATS = {
  rows: [
    { places: 1, width: 2 },
    { places: 2, width: 1 },
  ],
  numbers: 1,
  masks: 2,
};

/** Rows 1 and 2 of the first use, 1, 3 and none of the sequence. */
const INPUT: StepInput = {
  rows: Float32Array.of(10, 11, 30, 0, 20, 21, 10, 30, 10, 11, 0, 0),
  rowIds: () => Uint32Array.of(1, 3, NO_ROW, 2, 1, 3, 1, NO_ROW, NO_ROW),
  numbers: Float32Array.of(7, 8, 9),
  masks: Float32Array.of(1, 0, 1, 1, 0, 0),
  label: Float32Array.of(0, 1, 0),
  weight: Float32Array.of(1, 2, 3),
  samples: 3,
  globalSamples: 64,
};

function sent(at: StepInput, forms = FORMS): TaskValues {
  const [rows, rowNumbers, inputs] = taskFrames(5, at, DistinctRows.of(at, FLOATS.rows), forms).map((f) =>
    decodeFrame(encodeFrame(f)),
  );
  return { rows: valuesOfFrame(rows!), rowNumbers: rowNumbersOfFrame(rowNumbers!), inputs: valuesOfFrame(inputs!) };
}

const read = (values: TaskValues, { samples, globalSamples, weight }: StepInput = INPUT) =>
  inputOfTask(values, { samples, globalSamples, weighted: weight !== undefined, floats: FLOATS });

describe("a task's frames", () => {
  test("have each row of a use once, and give every sample what it had", () => {
    const values = sent(INPUT);
    expect(values.rows).toEqual(Float32Array.of(10, 11, 30, 20, 21, 10));
    const { input, distinct } = read(values);
    const { rowIds: _, ...expected } = INPUT;
    expect(input).toEqual(expected);
    expect(distinct.numbers).toEqual(Uint32Array.of(0, 1, NO_ROW, 2, 3, 1, 0, NO_ROW, NO_ROW));
  });

  test("are of a slice of a step's samples as well, where nothing says which rows are the same, and in bfloat16", () => {
    const slice = sliceOfInput({ ...INPUT, weight: undefined, step: 3 }, 1, 3);
    expect(slice.rowIds!()).toEqual(Uint32Array.of(2, 1, 3, 1, NO_ROW, NO_ROW));
    expect(read(sent(slice), slice).input.rows).toEqual(INPUT.rows.subarray(4));
    const unknown = { ...INPUT, rowIds: undefined };
    const inBfloat16 = sent(unknown, { ...FORMS, rows: "bfloat16" });
    expect(read(inBfloat16).input.rows).toEqual(INPUT.rows);
  });

  test("number rows in four bytes only where there are too many for two", () => {
    const samples = 22_000;
    const all = (rowIds: Uint32Array) => {
      const [rows, numbers, masks] = [4, 1, 2].map((each) => new Float32Array(samples * each).map((_, i) => i));
      const at = {
        ...INPUT,
        rows: rows!,
        rowIds: () => rowIds,
        numbers: numbers!,
        masks,
        label: numbers!,
        weight: undefined,
        samples,
      };
      return { at, frames: taskFrames(1, at, DistinctRows.of(at, FLOATS.rows), FORMS) };
    };
    const many = all(Uint32Array.from({ length: 3 * samples }, (_, i) => i));
    expect(bytesOfFrame(many.frames[1]!)).toBe(64 + 4 * 3 * samples);
    const { rows } = read(sent(many.at), many.at).input;
    expect(rows.every((value, i) => value === many.at.rows[i])).toBe(true);
    const few = all(Uint32Array.from({ length: 3 * samples }, (_, i) => (i % 3 === 0 ? i : NO_ROW)));
    expect(bytesOfFrame(few.frames[1]!)).toBe(64 + 2 * 3 * samples);
    expect(read(sent(few.at), few.at).distinct.count).toBe(samples);
  });

  test("that do not fit together are refused, and what they should have is said", () => {
    const values = sent(INPUT);
    const refusals: [Partial<TaskValues>, string][] = [
      [{ rows: values.rows.subarray(1) }, "came with 5 floats of rows and 15 others; expected 6 of 4 rows"],
      [{ inputs: values.inputs.subarray(0, 11) }, "came with 6 floats of rows and 11 others"],
      [{ rowNumbers: values.rowNumbers.subarray(2) }, "16 bytes of row numbers; 9 places have 18 or 36"],
      [{ rowNumbers: values.rowNumbers.with(0, 1) }, "place 0 of a task has row 1, before row 0 has come"],
    ];
    for (const [changes, message] of refusals) {
      const reading = (): unknown => read({ ...values, ...changes });
      expect(reading).toThrow(ProtocolError);
      expect(reading).toThrow(message);
    }
  });
});

test("whatever form the job has beside float32 is bfloat16 to a volunteer", () => {
  const fit = { epochs: 1, batchSize: 1, consistency: { mode: "bsp" }, shuffle: true, validate: "end" } as const;
  expect(leafForms({ fit })).toEqual(FORMS);
  expect(leafForms({ fit: { ...fit, wire: { rows: "int8", gradients: { topK: 0.1 }, dense: "bfloat16" } } })).toEqual({
    rows: "bfloat16",
    gradients: "bfloat16",
    dense: "bfloat16",
  });
});
