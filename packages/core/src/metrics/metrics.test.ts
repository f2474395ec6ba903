import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LossName, MetricName } from "../job/index.ts";
import { Metrics, metricsStateSchema, type MetricsOptions, type ScoredBatch } from "./index.ts";

/** A batch of one output and one label number, unless said otherwise. */
function batchOf(labels: ArrayLike<number>, scores: ArrayLike<number>, more: Partial<ScoredBatch> = {}): ScoredBatch {
  const outputs = more.outputs ?? 1;
  const samples = scores.length / outputs;
  return {
    samples,
    labels: Float32Array.from(labels),
    labelWidth: labels.length / Math.max(1, samples),
    scores: Float32Array.from(scores),
    outputs,
    ...more,
  };
}

function metricsOf(options: MetricsOptions, ...batches: ScoredBatch[]): Metrics {
  const metrics = new Metrics(options);
  for (const batch of batches) metrics.update(batch);
  return metrics;
}

const resultOf = (name: MetricName, batch: ScoredBatch): number =>
  metricsOf({ metrics: [name], outputs: batch.outputs }, batch).result()[name]!;

/** The area by its definition: the weight of pairs that are ordered right, ties by half. */
function aucByPairs(labels: ArrayLike<number>, scores: ArrayLike<number>, weights?: ArrayLike<number>): number {
  let [right, all] = [0, 0];
  for (let p = 0; p < labels.length; p++) {
    for (let n = 0; n < labels.length; n++) {
      if (labels[p] !== 1 || labels[n] !== 0) continue;
      const w = (weights?.[p] ?? 1) * (weights?.[n] ?? 1);
      all += w;
      right += w * (scores[p]! > scores[n]! ? 1 : scores[p] === scores[n] ? 0.5 : 0);
    }
  }
  return right / all;
}

describe("update", () => {
  const auc = () => new Metrics({ metrics: ["auc"] });

  it("refuses what is not finite or no class, and adds nothing then", () => {
    const metrics = metricsOf({ metrics: ["auc", "mse"], loss: "poisson" }, batchOf([0, 1], [0.1, 0.9]));
    const before = metrics.toJSON();
    expect(() => metrics.update(batchOf([0, 1], [0.3, NaN]))).toThrow(
      new RangeError("score 0 of sample 1 is NaN: the model has diverged; lower its learning rates"),
    );
    expect(() => metrics.update(batchOf([0.5], [0.3]))).toThrow(
      new RangeError("label of sample 0 is 0.5: auc and logloss need labels 0 and 1, as atLeast(…) makes them"),
    );
    expect(() => metrics.update(batchOf([1], [-3]))).toThrow(/^loss of sample 0 is NaN/);
    expect(metrics.toJSON()).toEqual(before);
  });

  it("refuses arrays that do not fit", () => {
    expect(() => auc().update({ ...batchOf([0], [1]), labels: new Float32Array(2) })).toThrow(
      new RangeError("2 labels, but 1 are needed"),
    );
    expect(() => auc().update(batchOf([0], [1], { weight: Float32Array.of(-1) }))).toThrow(
      new RangeError("weight of sample 0 is -1; weights are finite and at least 0"),
    );
    expect(() => auc().update(batchOf([0], [0.5, 0.5], { outputs: 2 }))).toThrow(
      new RangeError("scores of 2 outputs; the model has 1"),
    );
  });

  it("refuses a class the model has no output for", () => {
    expect(() => resultOf("accuracy", batchOf([3], [0.2, 0.3, 0.5], { outputs: 3 }))).toThrow(
      new RangeError("label of sample 0 is 3; the model gives 3 outputs, classes 0 to 2"),
    );
  });

  it("refuses labels that neither the outputs nor a class can be compared with", () => {
    expect(() => resultOf("mse", batchOf([0, 1], [0.2, 0.3, 0.5], { outputs: 3 }))).toThrow(
      /^metric "mse" compares the model's 3 outputs with as many numbers of a label, .* a label has 2 numbers/,
    );
    expect(() =>
      metricsOf({ metrics: [], loss: "meanSquaredError", outputs: 3 }, batchOf([0], [0.2, 0.3, 0.5], { outputs: 3 })),
    ).toThrow(/^loss "meanSquaredError" compares the model's 3 outputs .* label has 1; let the model end in 1 unit/);
  });

  it("leaves samples of weight 0 out, whatever their scores are", () => {
    const options: MetricsOptions = {
      metrics: ["auc", "exactAuc", "logloss", "accuracy", "mse", "mae", "calibration"],
      loss: "binaryCrossentropy",
    };
    const kept = metricsOf(options, batchOf([0, 1, 1], [0.2, 0.1, 0.9]));
    const all = metricsOf(
      options,
      batchOf([0, 7, 1, 1], [0.2, NaN, 0.1, 0.9], { weight: Float32Array.of(1, 0, 1, 1) }),
    );
    expect(all.toJSON()).toEqual(kept.toJSON());
  });

  it("of no samples changes nothing, and every metric is NaN then", () => {
    const metrics = metricsOf(
      { metrics: ["auc", "exactAuc", "mse"], loss: "huber" },
      batchOf([], [], { labelWidth: 1 }),
    );
    expect(metrics.result()).toEqual({ loss: NaN, auc: NaN, exactAuc: NaN, mse: NaN });
  });
});

describe.each(["auc", "exactAuc"] as const)("%s", (name) => {
  it("counts ties by half, and −0 as 0", () => {
    expect(resultOf(name, batchOf([0, 1], [0.5, 0.5]))).toBe(0.5);
    expect(resultOf(name, batchOf([1, 0], [-0, 0]))).toBe(0.5);
    expect(resultOf(name, batchOf([0, 1, 0, 1], [0.1, 0.1, 0.2, 0.9]))).toBe((0.5 + 2) / 4);
  });

  it("ranks negative scores too", () => {
    expect(resultOf(name, batchOf([0, 0, 1, 1], [-3, -2, -1, 4]))).toBe(1);
    expect(resultOf(name, batchOf([1, 1, 0, 0], [-3, -2, -1, 4]))).toBe(0);
  });

  it("is NaN while all labels are of one class", () => {
    expect(new Metrics({ metrics: [name] }).result()[name]).toBeNaN();
    expect(resultOf(name, batchOf([1, 1], [0.2, 0.3]))).toBeNaN();
  });

  it("counts a pair by the product of its weights", () => {
    const weight = Float32Array.of(2, 0.5, 3, 1, 4);
    const [labels, scores] = [
      [0, 1, 0, 1, 1],
      [0.5, 0.75, 0.875, 0.25, 0.5],
    ];
    expect(resultOf(name, batchOf(labels, scores, { weight }))).toBeCloseTo(aucByPairs(labels, scores, weight), 14);
  });

  it("takes several outputs as so many samples, and a class as its outputs' labels", () => {
    const scores = [0.2, 0.7, 0.1, 0.5, 0.3, 0.2];
    const wanted = aucByPairs([0, 1, 0, 0, 0, 1], scores);
    expect(resultOf(name, batchOf([0, 1, 0, 0, 0, 1], scores, { outputs: 3 }))).toBeCloseTo(wanted, 14);
    expect(resultOf(name, batchOf([1, 2], scores, { outputs: 3 }))).toBeCloseTo(wanted, 14);
  });
});

describe("a million scores", () => {
  /** mulberry32 */
  const generator = (seed: number) => {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  };

  /** The area from the scores in order. */
  function aucBySorting(labels: Float32Array, scores: Float32Array): number {
    const order = Uint32Array.from(scores, (_, i) => i).toSorted((a, b) => scores[a]! - scores[b]!);
    let [pairs, below, at] = [0, 0, 0];
    while (at < order.length) {
      const counts = [0, 0];
      const score = scores[order[at]!]!;
      for (; at < order.length && scores[order[at]!] === score; at++) counts[labels[order[at]!]!]!++;
      pairs += counts[1]! * (below + counts[0]! / 2);
      below += counts[0]!;
    }
    return pairs / (below * (labels.length - below));
  }

  it.each([
    ["spread over (0, 1)", (label: number, u: number) => Math.min(0.999999, u * (0.7 + 0.3 * label))],
    ["crowded around one half", (label: number, u: number) => 0.5 + 0.002 * (u - 0.5) + 0.0004 * label],
    [
      "log-uniform over ten octaves, both signs",
      (label: number, u: number) => 2 ** (10 * u) * ((u * 1e4) % 1 < 0.4 + 0.2 * label ? 1 : -1),
    ],
  ])(
    "give an auc within 1e-4 of a full sort, and an exactAuc that is equal to it: %s",
    (_, scoreOf) => {
      const random = generator(7);
      const labels = new Float32Array(1e6);
      const scores = new Float32Array(1e6);
      for (let i = 0; i < labels.length; i++) {
        labels[i] = random() < 0.2 ? 1 : 0;
        scores[i] = scoreOf(labels[i]!, random());
      }
      const { auc, exactAuc } = metricsOf({ metrics: ["auc", "exactAuc"] }, batchOf(labels, scores)).result();
      const wanted = aucBySorting(labels, scores);
      expect(exactAuc).toBe(wanted);
      expect(Math.abs(auc! - wanted)).toBeLessThan(1e-4);
    },
    60_000,
  );
});

describe("means", () => {
  it("are those of their definitions", () => {
    const metrics: MetricName[] = ["logloss", "mse", "rmse", "mae", "accuracy", "calibration"];
    const result = metricsOf({ metrics }, batchOf([1, 0, 1], [0.5, 0.25, 0.75])).result();
    expect(result.logloss).toBeCloseTo(-(Math.log(0.5) + 2 * Math.log(0.75)) / 3, 15);
    expect(result).toMatchObject({
      mse: (0.25 + 0.0625 + 0.0625) / 3,
      rmse: Math.sqrt((0.25 + 0.0625 + 0.0625) / 3),
      mae: 1 / 3,
      accuracy: 2 / 3,
      calibration: 0.75,
    });
  });

  it("count a sample by its weight", () => {
    const weight = Float32Array.of(3, 0.5);
    const result = metricsOf(
      { metrics: ["mse", "accuracy", "calibration"] },
      batchOf([1, 1], [0.5, 0.75], { weight }),
    ).result();
    expect(result).toEqual({ mse: (3 * 0.25 + 0.5 * 0.0625) / 3.5, accuracy: 0.5 / 3.5, calibration: 1.875 / 3.5 });
  });

  it("count several outputs evenly", () => {
    const result = metricsOf(
      { metrics: ["mse", "mae"], outputs: 2 },
      batchOf([1, 0, 0, 0], [0, 0, 2, 0], { outputs: 2 }),
    );
    expect(result.result()).toEqual({ mse: 5 / 4, mae: 3 / 4 });
  });

  it("hold scores of 0 and 1 off the logarithm's poles, as tfjs does", () => {
    expect(resultOf("logloss", batchOf([1, 0], [0, 1]))).toBeCloseTo(-Math.log(1e-7), 8);
  });

  it("take accuracy and logloss of classes from the greatest score and the class's share", () => {
    const scores = [0.2, 0.7, 0.1, 0.5, 0.2, 0.3];
    for (const labels of [
      [1, 2],
      [0, 1, 0, 0, 0, 1],
    ]) {
      const batch = batchOf(labels, scores, { outputs: 3 });
      expect(resultOf("accuracy", batch)).toBe(0.5);
      expect(resultOf("logloss", batch)).toBeCloseTo(-(Math.log(0.7) + Math.log(0.3)) / 2, 6);
    }
  });

  it("take accuracy of several labels output by output where the loss does", () => {
    const batch = batchOf([1, 1, 0, 0, 0, 1], [0.9, 0.8, 0.1, 0.6, 0.2, 0.4], { outputs: 3 });
    const options: MetricsOptions = { metrics: ["accuracy"], loss: "binaryCrossentropy", outputs: 3 };
    expect(metricsOf(options, batch).result().accuracy).toBe(4 / 6);
  });
});

describe("loss", () => {
  it("is left out where a training function computes it", () => {
    const loss = { function: "mine", sha256: "0".repeat(64) };
    expect(metricsOf({ metrics: [], loss }, batchOf([1], [1])).result()).toEqual({});
  });

  it("is divided by the samples that have a weight, as tfjs divides", () => {
    const weight = Float32Array.of(3, 0, 1);
    expect(
      metricsOf({ metrics: [], loss: "meanSquaredError" }, batchOf([0, 0, 0], [1, 5, 2], { weight })).result(),
    ).toEqual({
      loss: (3 + 4) / 2,
    });
  });

  const ln = Math.log;
  it.each<[LossName, number, number[], number[], number]>([
    ["binaryCrossentropy", 2, [1, 0], [0.8, 0.4], -(ln(0.8) + ln(0.6)) / 2],
    ["binaryCrossentropy", 1, [0.25], [0.5], -ln(0.5)],
    ["categoricalCrossentropy", 3, [0, 1, 0], [0.2, 0.4, 0.2], -ln(0.5)],
    ["sparseCategoricalCrossentropy", 3, [1], [0.2, 0.4, 0.2], -ln(0.5)],
    ["meanSquaredError", 2, [1, 3], [2, 1], 2.5],
    ["meanAbsoluteError", 2, [1, 3], [2, 1], 1.5],
    ["huber", 2, [0, 0], [0.5, 3], (0.125 + 2.5) / 2],
    ["logcosh", 1, [0], [2], ln(Math.cosh(2))],
    ["poisson", 1, [3], [2], 2 - 3 * ln(2 + 1e-7)],
    ["hinge", 2, [0, 1], [0.5, 0.5], (1.5 + 0.5) / 2],
    ["bpr", 3, [0], [1, 2, -1], (ln(1 + Math.E) + ln(1 + Math.exp(-2))) / 2],
    ["sampledSoftmax", 3, [0], [1, 2, -1], ln(1 + Math.E + Math.exp(-2))],
  ])("%s of %i outputs is that of its definition", (loss, outputs, labels, scores, wanted) => {
    const batch = batchOf(labels, scores, { outputs });
    expect(metricsOf({ metrics: [], loss, outputs }, batch).result().loss).toBeCloseTo(wanted, 6);
  });
});

describe("ranking metrics", () => {
  const names: MetricName[] = ["hr@1", "hr@3", "ndcg@3", "recall@2"];
  const groupsOf = (...ids: number[]): Uint32Array => Uint32Array.from(ids.flatMap((id) => [id, id * 7]));

  it("refuse rows without a group, and groups of several outputs", () => {
    expect(() => resultOf("ndcg@10", batchOf([1], [0.5]))).toThrow(
      new TypeError(
        'metric "ndcg@10" ranks the rows of a group, and the data has no group; name the field that tells them apart, as group: "user"',
      ),
    );
    expect(() => resultOf("hr@1", batchOf([0], [0.5, 0.4], { outputs: 2, group: groupsOf(1) }))).toThrow(
      /ranks either the rows of a group or a model's 2 outputs, and this job has both/,
    );
  });

  it("are means over the groups with a positive", () => {
    const group = groupsOf(1, 1, 2, 1, 3, 2, 1);
    const batch = batchOf([0, 1, 1, 0, 0, 0, 1], [0.9, 0.8, 0.1, 0.7, 0.5, 0.3, 0.2], { group });
    const ideal = 1 + 1 / Math.log2(3);
    expect(metricsOf({ metrics: names }, batch).result()).toEqual({
      "hr@1": 0,
      "hr@3": 1,
      "ndcg@3": (1 / Math.log2(3) / ideal + 1 / Math.log2(3)) / 2,
      "recall@2": (1 / 2 + 1) / 2,
    });
  });

  it("rank a positive behind all candidates of its score, so one score for all earns nothing", () => {
    const batch = batchOf([1, 0, 0], [0.5, 0.5, 0.5], { group: groupsOf(1, 1, 1) });
    expect(metricsOf({ metrics: ["hr@1", "hr@3", "recall@2"] }, batch).result()).toEqual({
      "hr@1": 0,
      "hr@3": 1,
      "recall@2": 0,
    });
  });

  it("take graded relevance, as scikit-learn's ndcg_score does", () => {
    const batch = batchOf([3, 2, 1], [1, 3, 2], { group: groupsOf(4, 4, 4) });
    const gain = (...relevances: number[]) => relevances.reduce((sum, r, i) => sum + r / Math.log2(i + 2), 0);
    expect(resultOf("ndcg@2", batch)).toBeCloseTo(gain(2, 1) / gain(3, 2), 15);
  });

  it("leave out groups without a positive, and are NaN where there are only those", () => {
    expect(resultOf("hr@5", batchOf([0, 0], [0.1, 0.2], { group: groupsOf(1, 2) }))).toBeNaN();
  });

  it("rank a row's own outputs where a model gives several: its class, or its positives", () => {
    const scores = [0.1, 0.5, 0.4, 0.9, 0.2, 0.3];
    const result = metricsOf(
      { metrics: ["hr@1", "hr@2"], outputs: 3 },
      batchOf([2, 0], scores, { outputs: 3 }),
    ).result();
    expect(result).toEqual({ "hr@1": 0.5, "hr@2": 1 });
    const wide = batchOf([0, 1, 1, 0, 0, 0], scores, { outputs: 3 });
    expect(resultOf("recall@1", wide)).toBe(0.5);
  });
});

describe("merge", () => {
  const ALL: MetricName[] = [
    "auc",
    "exactAuc",
    "logloss",
    "accuracy",
    "mse",
    "rmse",
    "mae",
    "calibration",
    "hr@2",
    "ndcg@3",
    "recall@1",
  ];
  const sampleOf = (weight: fc.Arbitrary<number>) =>
    fc.record({
      label: fc.constantFrom(0, 1),
      score: fc.oneof(fc.constantFrom(0, 0.5, 1), fc.float({ noNaN: true, noDefaultInfinity: true })),
      weight,
      group: fc.nat(4),
    });
  type Sample = { label: number; score: number; weight: number; group: number };
  const batch = (samples: Sample[]): ScoredBatch =>
    batchOf(
      samples.map(({ label }) => label),
      samples.map(({ score }) => score),
      {
        labelWidth: 1,
        weight: Float32Array.from(samples, ({ weight }) => weight),
        group: Uint32Array.from(samples.flatMap(({ group }) => [0xffff_fff0 + group, group])),
      },
    );
  const options: MetricsOptions = { metrics: ALL, loss: "huber" };

  it("gives exactly the result of one pass, however the samples are shared out and the states merged", () => {
    const weights = fc.constantFrom(0, 1, 2, 0.5, Math.fround(0.1));
    fc.assert(
      fc.property(
        fc.array(fc.array(sampleOf(weights), { maxLength: 20 }), { minLength: 1, maxLength: 6 }),
        (shares) => {
          const once = metricsOf(options, batch(shares.flat()));
          const parts = shares.map((share) => metricsOf(options, batch(share)));
          const forwards = new Metrics(options);
          for (const part of parts) forwards.merge(metricsStateSchema.parse(JSON.parse(JSON.stringify(part))));
          const backwards = new Metrics(options);
          for (const part of parts.toReversed()) backwards.merge(part.toJSON());
          expect(forwards.result()).toEqual(once.result());
          expect(backwards.result()).toEqual(once.result());
        },
      ),
    );
  });

  it("refuses the state of other metrics", () => {
    expect(() => new Metrics({ metrics: ["auc"] }).merge(new Metrics({ metrics: ["mse"] }).toJSON())).toThrow(
      new TypeError("cannot merge metrics: only one of the two states has auc"),
    );
    expect(() => new Metrics({ metrics: ["mse"] }).merge(new Metrics({ metrics: ["mae"] }).toJSON())).toThrow(
      new TypeError("cannot merge metrics: only one of the two states has squared error"),
    );
  });

  it("refuses a malformed state, and adds nothing then", () => {
    const metrics = new Metrics({ metrics: ["auc", "exactAuc", "hr@1"] });
    const good = metrics.toJSON();
    const auc = (bins: number[]) => ({ ...good, auc: { bins, negatives: [1], positives: [0] } });
    const exactAuc = (scores: number[]) => ({ ...good, exactAuc: { scores, negatives: [1, 1], positives: [0, 0] } });
    expect(() => metrics.merge(auc([1, 2]))).toThrow(new TypeError("AUC state has 2 bins, 1 and 1 counts"));
    expect(() => metrics.merge(auc([2 ** 23]))).toThrow(
      new TypeError("AUC state has a bin 8388608; the last one is 8388607"),
    );
    expect(() => metrics.merge({ ...auc([1]), exactAuc: exactAuc([5, 5]).exactAuc })).toThrow(
      new TypeError("exact AUC state: scores[1] does not ascend"),
    );
    expect(() => metrics.merge(exactAuc([5]))).toThrow(new TypeError("exact AUC state has 1 scores, 2 and 2 counts"));
    expect(() => metrics.merge({ ...auc([1]), ranking: { ...good.ranking!, kept: [1] } })).toThrow(
      new TypeError("ranking state of 0 groups: its lists do not fit each other"),
    );
    expect(metrics.toJSON()).toEqual(good);
  });

  it("takes a share of 16,384 rows in less than 4 MB of JSON, each of its own group and score", () => {
    const rows = 16_384;
    const share: Sample[] = Array.from({ length: rows }, (_, i) => ({
      label: i % 2,
      score: Math.fround(Math.sin(i)),
      weight: 0.1,
      group: i,
    }));
    const state = JSON.stringify(metricsOf(options, batch(share)));
    expect(state.length).toBeLessThan(4 * 1024 * 1024);
  });
});
