import { describe, expect, it } from "vitest";
import type { LabelSpec } from "../data/spec/data-spec.ts";
import { checkLabels } from "./label-shape.ts";
import type { JobManifest, LossSpec, MetricName } from "./manifest.ts";

const COLUMN: LabelSpec = { kind: "column", column: "y" };

function job(o: {
  loss: LossSpec;
  outputs: number;
  label?: LabelSpec;
  metrics?: MetricName[];
  grouped?: true;
}): Pick<JobManifest, "compile" | "model" | "data"> {
  return {
    compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: o.loss, metrics: o.metrics ?? [] },
    model: { embeddings: [], numbers: [], variables: [], outputs: o.outputs },
    data: {
      format: { kind: "parquet" },
      files: [{ kind: "file", path: "x" }],
      fields: {},
      badRowsMax: 0,
      ...(o.label ? { label: o.label } : {}),
      ...(o.grouped ? { group: { kind: "column", column: "user" } } : {}),
    },
  };
}

describe("checkLabels()", () => {
  it.each([
    [
      job({ loss: "meanSquaredError", outputs: 3 }),
      'loss "meanSquaredError" compares the model\'s 3 outputs with as many numbers of a label, and a label has 1; let the model end in 1 unit, or label with 3 columns',
    ],
    [
      job({
        loss: "categoricalCrossentropy",
        outputs: 3,
        label: { kind: "classes", column: "y", values: ["a", "b", "c"] },
      }),
      /a label has 1; where it is the number of a class use loss "sparseCategoricalCrossentropy"$/,
    ],
    [
      job({ loss: "sparseCategoricalCrossentropy", outputs: 3, label: { kind: "columns", columns: ["a", "b", "c"] } }),
      /takes the number of a class for a label, and a label has 3 numbers; use loss "categoricalCrossentropy"/,
    ],
    [
      job({ loss: "sparseCategoricalCrossentropy", outputs: 1 }),
      /needs an output for each class, and the model gives 1/,
    ],
    [job({ loss: "bpr", outputs: 1 }), /compares the model's first output with the others, and the model gives 1/],
    [
      job({ loss: "sampledSoftmax", outputs: 5, label: { kind: "columns", columns: ["a", "b"] }, metrics: ["mse"] }),
      /^metric "mse" compares the model's 5 outputs .* and a label has 2 numbers$/,
    ],
    [
      job({ loss: "binaryCrossentropy", outputs: 1, metrics: ["auc", "ndcg@10"] }),
      /^metric "ndcg@10" ranks the rows of a group/,
    ],
    [job({ loss: "bpr", outputs: 5, metrics: ["hr@1"], grouped: true }), /this job has both; leave out group$/],
    [job({ loss: "bpr", outputs: 50, metrics: ["exactAuc"] }), /at most 32 outputs, not 50; use "auc"$/],
  ])("refuses what does not fit: %#", (manifest, message) => {
    expect(() => checkLabels(manifest)).toThrow(TypeError);
    expect(() => checkLabels(manifest)).toThrow(message);
  });

  it("waits for the data where a column may hold lists", () => {
    const manifest = job({ loss: "meanSquaredError", outputs: 3, label: COLUMN });
    checkLabels(manifest);
    checkLabels(manifest, 3);
    expect(() => checkLabels(manifest, 2)).toThrow(/a label has 2; let the model end in 2 units/);
  });

  it("takes what fits", () => {
    checkLabels(job({ loss: "binaryCrossentropy", outputs: 1, metrics: ["auc", "hr@10"], grouped: true }));
    checkLabels(job({ loss: "sparseCategoricalCrossentropy", outputs: 4, metrics: ["accuracy", "hr@2", "exactAuc"] }));
    checkLabels(job({ loss: "bpr", outputs: 5, metrics: ["auc", "ndcg@3"] }));
    checkLabels(job({ loss: { function: "mine", sha256: "0".repeat(64) }, outputs: 7 }));
  });
});
