import { describe, expect, test } from "vitest";
import type { JobManifest } from "../../job/index.ts";
import { leastLossOf } from "./least-loss.ts";
import { MANIFEST } from "./test-leaves.ts";

const of = ({ loss = MANIFEST.compile.loss, l2 = 0.1, classWeight }: Changes): JobManifest => ({
  ...MANIFEST,
  compile: { ...MANIFEST.compile, loss },
  model: { ...MANIFEST.model, topology: { layers: [{ config: { kernelRegularizer: { config: { l1: 0, l2 } } } }] } },
  fit: { ...MANIFEST.fit, classWeight },
});
interface Changes {
  loss?: JobManifest["compile"]["loss"];
  l2?: number;
  classWeight?: JobManifest["fit"]["classWeight"];
}

const SAMPLES = { samples: 2, label: Float32Array.of(0, 1) };

describe("leastLossOf()", () => {
  test.each(["binaryCrossentropy", "meanSquaredError", "huber", "logcosh", "hinge", "bpr"] as const)(
    "is 0 for %s, but for what a device rounds",
    (loss) => {
      expect(leastLossOf(of({ loss }))(SAMPLES)).toBeCloseTo(0, 3);
      expect(leastLossOf(of({ loss }))(SAMPLES)).toBeLessThan(0);
    },
  );

  test("has more room where samples weigh more", () => {
    const least = leastLossOf(of({}))(SAMPLES);
    expect(leastLossOf(of({}))({ ...SAMPLES, weight: Float32Array.of(3, 5) })).toBeCloseTo(4 * least, 9);
    expect(leastLossOf(of({ classWeight: { 0: 0.5, 1: 7 } }))(SAMPLES)).toBeCloseTo(7 * least, 9);
    expect(leastLossOf(of({ classWeight: { 0: 0.5 } }))(SAMPLES)).toBe(least);
  });

  test("says nothing where a loss may be below 0", () => {
    expect(leastLossOf(of({ loss: "poisson" }))(SAMPLES)).toBe(-Infinity);
    expect(leastLossOf(of({ loss: { module: "mine", name: "loss" } as never }))(SAMPLES)).toBe(-Infinity);
    expect(leastLossOf(of({ l2: -0.1 }))(SAMPLES)).toBe(-Infinity);
    const oneHot = of({ loss: "categoricalCrossentropy" });
    expect(leastLossOf(oneHot)(SAMPLES)).toBeCloseTo(0, 3);
    expect(leastLossOf(oneHot)({ ...SAMPLES, label: Float32Array.of(1, -1) })).toBe(-Infinity);
  });
});
