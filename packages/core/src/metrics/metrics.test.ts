import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { metricsStateSchema, newMetrics, type Metrics } from "./metrics.ts";

/** xorshift32: the same numbers in every browser. */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/** The definition: pairs ranked right, ties by half, by sorting all samples. */
function aucBySorting(labels: Float32Array, scores: Float32Array): number {
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[a]! - scores[b]!);
  let pairs = 0;
  let negativesBelow = 0;
  let i = 0;
  while (i < order.length) {
    const counts = [0, 0];
    const score = scores[order[i]!];
    for (; i < order.length && scores[order[i]!] === score; i++) counts[labels[order[i]!]!]!++;
    pairs += counts[1]! * (negativesBelow + counts[0]! / 2);
    negativesBelow += counts[0]!;
  }
  return pairs / (negativesBelow * (labels.length - negativesBelow));
}

const metricsOf = (labels: number[], scores: number[]): Metrics => {
  const metrics = newMetrics(["auc", "logloss", "mse"]);
  metrics.update(Float32Array.from(labels), Float32Array.from(scores));
  return metrics;
};

describe("auc", () => {
  it.each([
    ["spread over (0, 1)", (label: number, u: number) => Math.min(0.999999, u * (0.7 + 0.3 * label))],
    ["crowded around one half", (label: number, u: number) => 0.5 + 0.002 * (u - 0.5) + 0.0004 * label],
    [
      "log-uniform over ten octaves, both signs",
      (label: number, u: number) => 2 ** (10 * u) * ((u * 1e4) % 1 < 0.4 + 0.2 * label ? 1 : -1),
    ],
  ])("is within 1e-4 of a full sort of a million scores: %s", (_, scoreOf) => {
    const random = generator(7);
    const labels = new Float32Array(1e6);
    const scores = new Float32Array(1e6);
    for (let i = 0; i < labels.length; i++) {
      labels[i] = random() < 0.2 ? 1 : 0;
      scores[i] = scoreOf(labels[i]!, random());
    }
    const metrics = newMetrics(["auc"]);
    metrics.update(labels, scores);
    expect(Math.abs(metrics.result().auc! - aucBySorting(labels, scores))).toBeLessThan(1e-4);
  });

  it("counts ties by half, and −0 as 0", () => {
    expect(metricsOf([0, 1], [0.5, 0.5]).result().auc).toBe(0.5);
    expect(metricsOf([1, 0], [-0, 0]).result().auc).toBe(0.5);
    expect(metricsOf([0, 1, 0, 1], [0.1, 0.1, 0.2, 0.9]).result().auc).toBe((0.5 + 2) / 4);
  });

  it("ranks negative scores too", () => {
    expect(metricsOf([0, 0, 1, 1], [-3, -2, -1, 4]).result().auc).toBe(1);
    expect(metricsOf([1, 1, 0, 0], [-3, -2, -1, 4]).result().auc).toBe(0);
  });

  it("is NaN while all labels are of one class", () => {
    expect(newMetrics(["auc"]).result().auc).toBeNaN();
    expect(metricsOf([1, 1], [0.2, 0.3]).result().auc).toBeNaN();
  });
});

describe("logloss and mse", () => {
  it("are the means of their definitions", () => {
    const { logloss, mse } = metricsOf([1, 0, 1], [0.5, 0.25, 0.75]).result();
    expect(logloss).toBeCloseTo(-(Math.log(0.5) + 2 * Math.log(0.75)) / 3, 15);
    expect(mse).toBe((0.25 + 0.0625 + 0.0625) / 3);
  });

  it("hold scores of 0 and 1 off the logarithm's poles, as tfjs does", () => {
    expect(metricsOf([1, 0], [0, 1]).result().logloss).toBeCloseTo(-Math.log(1e-7), 8);
  });
});

describe("merge", () => {
  const sample = fc.tuple(fc.constantFrom(0, 1), fc.float({ noNaN: true, noDefaultInfinity: true }));

  it("gives exactly the result of one pass, however the samples are grouped and the states merged", () => {
    fc.assert(
      fc.property(fc.array(fc.array(sample, { maxLength: 20 }), { minLength: 1, maxLength: 6 }), (groups) => {
        const whole = groups.flat();
        const once = metricsOf(
          whole.map(([label]) => label),
          whole.map(([, score]) => score),
        );
        const parts = groups.map((group) =>
          metricsOf(
            group.map(([label]) => label),
            group.map(([, score]) => score),
          ),
        );
        const forwards = newMetrics(["auc", "logloss", "mse"]);
        for (const part of parts) forwards.merge(metricsStateSchema.parse(JSON.parse(JSON.stringify(part))));
        const backwards = newMetrics(["auc", "logloss", "mse"]);
        for (const part of parts.toReversed()) backwards.merge(part.toJSON());
        expect(forwards.result()).toEqual(once.result());
        expect(backwards.result()).toEqual(once.result());
      }),
    );
  });

  it("refuses the state of other metrics", () => {
    expect(() => newMetrics(["auc"]).merge(newMetrics(["mse"]).toJSON())).toThrow(
      new TypeError("cannot merge metrics: only one of the two states has auc"),
    );
  });

  it("refuses a malformed histogram", () => {
    const state = (bins: number[]) => ({ samples: 1, auc: { bins, negatives: [1], positives: [0] } });
    expect(() => newMetrics(["auc"]).merge(state([1, 2]))).toThrow(
      new TypeError("AUC state has 2 bins, 1 and 1 counts"),
    );
    expect(() => newMetrics(["auc"]).merge(state([2 ** 23]))).toThrow(
      new TypeError("AUC state has a bin 8388608; the last one is 8388607"),
    );
  });
});

describe("update", () => {
  it("refuses a score that is not finite and a label that is no class, and adds nothing then", () => {
    const metrics = metricsOf([0, 1], [0.1, 0.9]);
    const before = metrics.toJSON();
    expect(() => metrics.update(Float32Array.of(0, 1), Float32Array.of(0.3, NaN))).toThrow(
      new RangeError("score 1 is NaN: the model has diverged; lower its learning rates"),
    );
    expect(() => metrics.update(Float32Array.of(0.5), Float32Array.of(0.3))).toThrow(
      new RangeError("label 0 is 0.5: auc and logloss need labels 0 and 1, as atLeast(…) makes them"),
    );
    expect(() => metrics.update(Float32Array.of(0), Float32Array.of())).toThrow(
      new RangeError("1 labels, but 0 scores"),
    );
    expect(metrics.toJSON()).toEqual(before);
  });

  it("takes any label for mse alone", () => {
    const metrics = newMetrics(["mse"]);
    metrics.update(Float32Array.of(-1.5), Float32Array.of(0.5));
    expect(metrics.result()).toEqual({ mse: 4 });
  });
});
