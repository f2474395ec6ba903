import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import {
  adagrad,
  adam,
  atLeast,
  bsp,
  cross,
  defineJob,
  embedding,
  hourOf,
  input,
  npmFile,
  parquet,
  since,
  through,
} from "../index.ts";

const tf = tfl;

/** The sample of the design, word for word but for the package `tf` comes from. */
const sample = defineJob({
  name: "flight-delays",
  data: parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
    fields: { route: cross("origin", "destination"), hour: hourOf("date") },
    label: atLeast("delay", 15),
    test: since("date", "2001-06-13T08:02"),
  }),
  model() {
    const route = input({ name: "route", dtype: "string" }); // any vocabulary, no inputDim
    const hour = input({ name: "hour", dtype: "int32" });
    const rows = [
      embedding({ table: "route", dim: 16 }).apply(route),
      embedding({ table: "hour", dim: 16 }).apply(hour),
    ];
    const late = through(
      rows,
      tf.layers.concatenate(),
      tf.layers.dense({ units: 64, activation: "relu" }),
      tf.layers.dense({ units: 1, activation: "sigmoid" }),
    );
    return tf.model({ inputs: [route, hour], outputs: late });
  },
  compile: {
    optimizer: "adam",
    sparseOptimizer: adagrad({ learningRate: 0.05 }),
    loss: "binaryCrossentropy",
    metrics: ["auc"],
  },
  fit: { epochs: 1, batchSize: 4096, consistency: bsp() },
});

/** The sample with one part changed, as a caller without types might. */
const withPart = (part: object) => () => defineJob({ ...sample, ...part });
const withFit = (fit: object) => withPart({ fit: { batchSize: 4096, ...fit } });
const withCompile = (compile: object) =>
  withPart({ compile: { optimizer: "adam", loss: "binaryCrossentropy", ...compile } });

describe("defineJob", () => {
  it("writes out every default, and freezes what it gives", () => {
    const job = defineJob({
      ...sample,
      compile: { optimizer: "adam", loss: "meanSquaredError" },
      fit: { batchSize: 64 },
    });
    expect(job).toMatchObject({
      seed: 0,
      compile: { optimizer: adam(), sparseOptimizer: adam(), loss: "meanSquaredError", metrics: [] },
      fit: { epochs: 1, batchSize: 64, consistency: { mode: "bsp" } },
    });
    const wire = { rows: "bfloat16" } as const;
    expect(defineJob({ ...job, fit: { batchSize: 64, wire, prefetch: 0 } }).fit).toMatchObject({ wire, prefetch: 0 });
    expect([job, job.compile, job.compile.metrics, job.fit].every(Object.isFrozen)).toBe(true);
  });

  it("takes what it gave", () => {
    expect(defineJob(sample)).toEqual(sample);
  });

  it.each([
    [
      withPart({ optimiser: "adam" }),
      'defineJob(): "optimiser" is unknown; there are "name", "seed", "data", "model", "compile", "fit".',
    ],
    [
      withFit({ batchSise: 1 }),
      'job "flight-delays": fit: "batchSise" is unknown; there are "epochs", "batchSize", "consistency", "stepsMax", "shuffle", "validate", "earlyStopping", "classWeight", "wire", "prefetch", "dense", "cache". Did you mean "batchSize"?',
    ],
    [
      withCompile({ sparseOptimiser: "adam" }),
      'job "flight-delays": compile: "sparseOptimiser" is unknown; there are "optimizer", "sparseOptimizer", "loss", "metrics", "clip". Did you mean "sparseOptimizer"?',
    ],
    [
      withCompile({ loss: "binaryCrossEntropy" }),
      /compile.loss is "binaryCrossEntropy"; use one of "binaryCrossentropy", .*"sampledSoftmax". Did you mean "binaryCrossentropy"\?/,
    ],
    [
      withCompile({ metrics: ["acc"] }),
      /compile.metrics\[0\] is "acc"; use one of "auc", .*"ndcg@10", "recall@10". Did you mean "auc"\?/,
    ],
    [withCompile({ metrics: "auc" }), 'job "flight-delays": compile.metrics is "auc"; it must be a list, as ["auc"]'],
    [withCompile({ optimizer: undefined }), /compile.optimizer is undefined; use a name, as "adam"/],
    [withPart({ fit: undefined }), 'job "flight-delays": fit is undefined; it must be an object'],
    [withPart({ model: 7 }), /job "flight-delays": model is no function/],
    [withPart({ name: "" }), /name is ""; give the job a name/],
    [withFit({ consistency: "bsp" }), 'job "flight-delays": fit.consistency is "bsp"; make it with bsp()'],
    [
      withFit({ earlyStopping: { monitor: "val_mse" } }),
      'job "flight-delays": fit.earlyStopping.monitor is "val_mse", which is not evaluated: it may be "loss" or "val_loss", "val_auc"; add others to compile.metrics',
    ],
    [
      withFit({ earlyStopping: {}, validate: "end" }),
      /earlyStopping watches val_loss of the held-out rows, and validate is "end": write validate: "epoch"/,
    ],
    [withFit({ earlyStopping: { patience: -1 } }), /fit.earlyStopping.patience: /],
    [withFit({ earlyStopping: { mintDelta: 1 } }), /fit.earlyStopping: "mintDelta" is unknown/],
    [withFit({ validate: { everySteps: 0 } }), /fit.validate/],
    [withFit({ classWeight: { 1: -2 } }), /fit.classWeight.1: /],
    [withFit({ wire: "bfloat16" }), /fit.wire is "bfloat16"; it must be an object/],
    [withFit({ wire: { row: "int8" } }), /fit.wire: "row" is unknown.* Did you mean "rows"/],
    [withFit({ wire: { rows: "bf16" } }), /fit.wire.rows is "bf16"; .*"bfloat16"/],
    [withFit({ classWeight: { yes: 2 } }), /fit.classWeight/],
    [
      () =>
        defineJob({
          ...sample,
          compile: { ...sample.compile, loss: "meanSquaredError" },
          fit: { ...sample.fit, classWeight: { 1: 2 } },
        }),
      /fit.classWeight weighs classes, and loss "meanSquaredError" has none: give each row a weight/,
    ],
    [withPart({ data: { ...sample.data, format: "csv" } }), /job "flight-delays": data.format: /],
  ])("refuses a wrong word: %#", (define, message) => {
    expect(define).toThrow(TypeError);
    expect(define).toThrow(message);
  });

  it("takes early stopping for a reason to validate after each epoch, and knows which way is better", () => {
    const fitOf = (earlyStopping: object) => defineJob({ ...sample, fit: { batchSize: 64, earlyStopping } }).fit;
    expect(fitOf({ monitor: "auc" })).toMatchObject({
      validate: "epoch",
      earlyStopping: { monitor: "auc", patience: 0, minDelta: 0, mode: "max" },
    });
    expect(fitOf({ patience: 2 })).toMatchObject({
      validate: "epoch",
      earlyStopping: { monitor: "val_loss", patience: 2, mode: "min" },
    });
    expect(fitOf({ monitor: "loss" })).toMatchObject({ validate: "end", earlyStopping: { mode: "min" } });
  });

  it.each([
    [
      withFit({ batchSize: 0 }),
      'job "flight-delays": fit.batchSize is 0; it must be an integer from 1 to 4294967295, as 4096',
    ],
    [withFit({ batchSize: undefined }), /fit.batchSize is undefined; it must be an integer/],
    [withFit({ prefetch: -1 }), /fit.prefetch is -1; it must be an integer from 0 to 64/],
    [withFit({ epochs: 1.5 }), /fit.epochs is 1.5; it must be an integer/],
    [withFit({ stepsMax: -1 }), /fit.stepsMax is -1; it must be an integer/],
    [withPart({ seed: 2 ** 32 }), /seed is 4294967296; it must be an integer from 0 to 4294967295/],
    [withCompile({ optimizer: "adm" }), /^job "flight-delays": compile.optimizer: unknown optimizer "adm"/],
    [
      withCompile({ sparseOptimizer: { ...adagrad(), learningRate: -1 } }),
      /^job "flight-delays": compile.sparseOptimizer: .*learningRate/,
    ],
  ])("refuses a number or name out of its range: %#", (define, message) => {
    expect(define).toThrow(RangeError);
    expect(define).toThrow(message);
  });
});
