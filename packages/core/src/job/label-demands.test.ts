import { describe, expect, it } from "vitest";
import { labelDemandsOf } from "./label-demands.ts";
import type { JobManifest, LossName, MetricName } from "./manifest.ts";

const job = (
  loss: LossName,
  outputs: number,
  metrics: MetricName[] = [],
): Pick<JobManifest, "compile" | "model" | "data"> => ({
  compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss, metrics },
  model: { embeddings: [], numbers: [], variables: [], outputs },
  data: { format: { kind: "parquet" }, files: [{ kind: "file", path: "x" }], fields: {}, badRowsMax: 0 },
});

describe("labelDemandsOf()", () => {
  it("refuses labels of a width that does not fit", () => {
    expect(() => labelDemandsOf(job("binaryCrossentropy", 1), 3)).toThrow(TypeError);
  });

  it("wants of all rows what the loss takes, and of held-out rows what the metrics take", () => {
    expect(labelDemandsOf(job("binaryCrossentropy", 1, ["accuracy", "auc"]), 1)).toEqual([
      { wantedBy: 'loss "binaryCrossentropy"', rows: "all", numbers: { kind: "between", min: 0, max: 1 } },
      { wantedBy: 'metric "auc"', rows: "test", numbers: { kind: "one-of", values: [0, 1] } },
    ]);
    expect(labelDemandsOf(job("sparseCategoricalCrossentropy", 4, ["logloss"]), 1)).toEqual([
      { wantedBy: 'loss "sparseCategoricalCrossentropy"', rows: "all", numbers: { kind: "class", count: 4 } },
    ]);
    expect(labelDemandsOf(job("hinge", 1), 1)).toMatchObject([{ numbers: { values: [-1, 0, 1] } }]);
    expect(labelDemandsOf(job("poisson", 1), 1)).toMatchObject([
      { numbers: { kind: "between", min: 0, max: Infinity } },
    ]);
  });

  it("wants nothing of a regression's labels", () => {
    expect(labelDemandsOf(job("meanSquaredError", 2, ["rmse", "mae"]), 2)).toEqual([]);
  });
});
