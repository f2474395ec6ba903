import { describe, expect, test } from "vitest";
import type { StepGradients } from "../job/gradient-model.ts";
import { checkUpdate, TypicalUpdate } from "./update-check.ts";

const OF = { samples: 4, globalSamples: 8, rowFloats: 2, denseFloats: 3 };

const update = (changes: Partial<StepGradients> = {}): StepGradients => ({
  rowGrads: Float32Array.from({ length: 8 }, () => 0.5),
  denseGrads: Float32Array.of(1, -2, 2),
  lossSum: 2.8,
  ...changes,
});

const usual = new TypicalUpdate();
usual.see(update(), OF);
const refusalOf = (changes: Partial<StepGradients>, typical = usual) =>
  checkUpdate(update(changes), { ...OF, lossSumMin: 0, typical });

describe("checkUpdate()", () => {
  test("says what has another length, and what it should have", () => {
    expect(refusalOf({ rowGrads: new Float32Array(80) })).toEqual({
      code: "UPDATE_SHAPE",
      message: "the update has 80 floats of row gradients; 4 samples of 2 floats have 8",
    });
    expect(refusalOf({ denseGrads: new Float32Array(2) })).toEqual({
      code: "UPDATE_SHAPE",
      message: "the update has 2 floats of dense gradients; the model has 3",
    });
  });

  test.each([NaN, Infinity, -Infinity])("refuses %f anywhere", (value) => {
    const rowGrads = update().rowGrads.with(7, value);
    const denseGrads = Float32Array.of(1, value, 2);
    const cases = [{ rowGrads }, { denseGrads }, { lossSum: value }].map((changes) => refusalOf(changes));
    const places = ["float 7 of its row gradients", "float 1 of its dense gradients", "its loss"];
    expect(cases).toEqual(
      places.map((place) => ({
        code: "UPDATE_NOT_FINITE",
        message: `${place} is ${value}; every number of an update must be finite`,
      })),
    );
  });

  test.each([
    ["before anything is known", new TypicalUpdate()],
    ["next to what is usual", usual],
  ])("refuses 1e30 %s", (_, typical) => {
    const rowGrads = update().rowGrads.with(0, 1e30);
    for (const changes of [{ rowGrads }, { denseGrads: Float32Array.of(0, 0, -1e30) }, { lossSum: 1e30 }]) {
      expect(refusalOf(changes, typical)).toMatchObject({ code: "UPDATE_NORM" });
    }
  });

  test("takes what is some hundred times as large as usual, and says by how much more is too much", () => {
    const times = (factor: number) => ({ denseGrads: update().denseGrads.map((value) => value * factor) });
    expect(refusalOf(times(900))).toBeUndefined();
    expect(refusalOf(times(1100))?.message).toBe(
      "the update's length of dense gradients is 6.60e+3 a sample, and at most 6.00e+3 is taken: 1000 times what is usual",
    );
  });

  test("compares tasks of other lengths, divided by other numbers of samples, by the sample", () => {
    const samples = 2;
    const shorter = {
      rowGrads: Float32Array.from({ length: 4 }, () => 500),
      denseGrads: Float32Array.of(500, -1000, 1000),
      lossSum: 1400,
    };
    const check = (globalSamples: number) => checkUpdate(shorter, { ...OF, samples, globalSamples, typical: usual });
    expect(check(7)).toBeUndefined();
    expect(check(17)).toMatchObject({ code: "UPDATE_NORM" });
  });

  test("refuses a loss below the least one, but not where there is none", () => {
    expect(refusalOf({ lossSum: -1 })).toEqual({
      code: "UPDATE_NORM",
      message: "the update's loss is -1; that of 4 samples is at least 0",
    });
    expect(checkUpdate(update({ lossSum: -1 }), { ...OF, typical: usual })).toBeUndefined();
  });

  test("gradients and losses of 0 are taken, and make no bound of 0", () => {
    const zero = { rowGrads: new Float32Array(8), denseGrads: new Float32Array(3), lossSum: 0 };
    expect(refusalOf(zero)).toBeUndefined();
    const typical = new TypicalUpdate();
    typical.see(zero, OF);
    typical.see({ ...update(), rowGrads: new Float32Array(0) }, { samples: 0, globalSamples: 8 });
    expect(refusalOf({}, typical)).toBeUndefined();
  });
});
