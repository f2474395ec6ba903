import { describe, expect, it } from "vitest";
import { aligned, Curve } from "./curve.ts";

function curveOf(values: readonly number[], options?: { pointsMax: number }): Curve {
  const curve = new Curve(options);
  values.forEach((value, i) => curve.add({ step: i + 1, value }));
  return curve;
}

describe("Curve", () => {
  it("keeps every value while it has room", () => {
    const curve = curveOf([3, 1, 2]);
    expect(curve.steps).toEqual([1, 2, 3]);
    expect(curve.values).toEqual([3, 1, 2]);
  });

  it("merges neighbours once it is full, and then as many new ones", () => {
    const curve = curveOf([1, 3, 5, 7, 9, 11, 13], { pointsMax: 4 });
    expect(curve.steps).toEqual([2, 4, 6, 7]);
    expect(curve.values).toEqual([2, 6, 10, 13]);
    curve.add({ step: 8, value: 15 });
    expect(curve.steps).toEqual([2, 4, 6, 8]);
    expect(curve.values).toEqual([2, 6, 10, 14]);
  });

  it("never has more points than it may, and its mean stays that of all values", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i * 37) % 101);
    for (const pointsMax of [2, 5, 16]) {
      const curve = curveOf(values, { pointsMax });
      expect(curve.steps.length).toBeLessThanOrEqual(pointsMax);
      expect(curve.steps.at(-1)).toBe(1000);
      expect(curve.steps).toEqual([...curve.steps].sort((a, b) => a - b));
    }
    const one = curveOf(values.slice(0, 512), { pointsMax: 16 });
    const mean = values.slice(0, 512).reduce((a, b) => a + b) / 512;
    expect(one.values.reduce((a, b) => a + b) / one.values.length).toBeCloseTo(mean, 9);
  });

  it("weighs what it merges", () => {
    const curve = new Curve({ pointsMax: 2 });
    curve.add({ step: 1, value: 1, weight: 3 });
    curve.add({ step: 2, value: 5, weight: 1 });
    curve.add({ step: 3, value: 9, weight: 2 });
    expect(curve.values).toEqual([2, 9]);
  });

  it("takes no step twice, nothing that is no number and nothing without weight", () => {
    const curve = curveOf([1, 2]);
    curve.add({ step: 2, value: 9 });
    curve.add({ step: 1, value: 9 });
    curve.add({ step: 3, value: NaN });
    curve.add({ step: 4, value: Infinity });
    curve.add({ step: 5, value: 9, weight: 0 });
    expect(curve.values).toEqual([1, 2]);
  });

  it("says what is wrong with too few points", () => {
    expect(() => new Curve({ pointsMax: 1 })).toThrow("a curve needs 2 points or more, not 1");
  });
});

describe("aligned()", () => {
  it("gives all curves the steps of any, and null where one has none", () => {
    const sparse = new Curve();
    sparse.add({ step: 2, value: 20 });
    sparse.add({ step: 5, value: 50 });
    expect(
      aligned([
        { label: "all", curve: curveOf([1, 2, 3]) },
        { label: "some", curve: sparse },
      ]),
    ).toEqual({
      xs: [1, 2, 3, 5],
      lines: [
        { label: "all", values: [1, 2, 3, null] },
        { label: "some", values: [null, 20, null, 50] },
      ],
    });
  });

  it("is empty for curves without points", () => {
    expect(aligned([{ label: "none", curve: new Curve() }])).toEqual({
      xs: [],
      lines: [{ label: "none", values: [] }],
    });
  });
});
