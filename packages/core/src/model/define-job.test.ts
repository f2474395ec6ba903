import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import {
  adagrad,
  adam,
  asp,
  atLeast,
  bsp,
  cross,
  defineJob,
  embedding,
  hourOf,
  input,
  localSgd,
  nesterov,
  npmFile,
  parquet,
  since,
  ssp,
  through,
  type FitArgs,
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

/** A job, and what is said of it. */
type Refusal = [define: () => unknown, message: string | RegExp];

const SHARDED = { batchSize: 64, dense: "sharded" } as const;

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
    [
      withFit({ consistency: "bsp" }),
      'job "flight-delays": fit.consistency is "bsp"; make it with bsp(), ssp(), asp() or localSgd()',
    ],
    [withFit({ consistency: { mode: "bps" } }), /fit.consistency is {"mode":"bps"}; make it with bsp\(\), ssp\(\)/],
    [
      withFit({ consistency: bsp({ quorum: 0.5, balance: true }) }),
      /fit.consistency is .*: give quorum or balance: a step that does not wait for the slow has nothing to balance$/,
    ],
    [withFit({ consistency: bsp({ quorum: 0 }) }), /fit.consistency is {"mode":"bsp","quorum":0}: quorum: /],
    [withFit({ consistency: { mode: "asp", stalenessSteps: 1 } }), /fit.consistency is .*"stalenessSteps"/],
    [withFit({ consistency: ssp({ stalenessSteps: 257 }) }), /fit.consistency is .*: stalenessSteps: .*256$/],
    [
      withFit({ consistency: localSgd({ every: "epoch" as never }) }),
      /fit.consistency is .*: every: give a whole number of steps, from 1 on, or { seconds: 30 }$/,
    ],
    [withFit({ consistency: localSgd({ every: { seconds: 0 } }) }), /fit.consistency is .*: every.seconds: /],
    [
      withFit({ consistency: localSgd({ every: 30, outer: nesterov(0.7, 1) }) }),
      /fit.consistency is .*: outer.momentum: /,
    ],
    [withFit({ dense: "zero" }), /fit.dense is "zero"; use one of "all-reduce", "ps", "sharded"/],
    [
      withFit({ consistency: ssp({ stalenessSteps: 8 }), dense: "all-reduce" }),
      'job "flight-delays": fit.dense is "all-reduce", which ssp({ stalenessSteps: 8 }) cannot do: its dense variables come together by "ps"; leave it out',
    ],
    [
      withFit({ consistency: bsp({ balance: true }), dense: "ps" }),
      /fit.dense is "ps", which bsp\({ balance: true }\) cannot do: .* by "all-reduce"; leave it out$/,
    ],
    [withFit({ consistency: bsp({ quorum: 0.5 }), dense: "sharded" }), /which bsp\({ quorum: 0.5 }\) cannot do/],
    [withFit({ consistency: localSgd({ every: 30 }), dense: "ps" }), /come together by "rounds"; leave it out$/],
    [
      withFit({ dense: "sharded", wire: { dense: { topK: 0.01 } } }),
      /fit.dense is "sharded", and with wire.dense topK no worker has sums of its own; use "int8", or leave one out$/,
    ],
    [withFit({ cache: 8 }), /fit.cache is 8; it must be an object/],
    [
      withFit({ consistency: asp(), cache: { staleness: 8 } }),
      /fit.cache: "staleness" is unknown; there are "stalenessSteps", "rowsMax"/,
    ],
    ...[bsp(), bsp({ quorum: 0.5 }), ssp({ stalenessSteps: 0 })].map((consistency): Refusal => [
      withFit({ consistency, cache: { stalenessSteps: 1 } }),
      /fit.cache: (bsp|ssp)\(.*\) promises the newest rows, and kept ones are older; leave it out, or use asp\(\)/,
    ]),
    [withFit({ wire: { gradients: "bf16" } }), /fit.wire.gradients is "bf16"; .*"bfloat16"/],
    [withFit({ wire: { dense: "fp16" } }), /fit.wire.dense is "fp16"; /],
    [withFit({ wire: { dense: { topk: 0.1 } } }), /fit.wire.dense: "topk" is unknown.* Did you mean "topK"/],
    [withFit({ wire: { errorFeedback: 1 } }), /fit.wire.errorFeedback is 1; give true or false/],
    [
      withFit({ consistency: asp(), wire: { dense: "int8" } }),
      /fit.wire.dense is the form of dense gradients that workers all-reduce, which they do not in asp\(\): leave it out$/,
    ],
    [
      withFit({ dense: "ps", wire: { dense: { topK: 0.5 } } }),
      /which they do not in bsp\({ quorum: 1 }\): leave it out$/,
    ],
    [
      withFit({ consistency: localSgd({ every: 30 }), wire: { dense: "int8" } }),
      /which they do not in localSgd\(.*\): give localSgd\(\) a compression instead$/,
    ],
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

  it.each<[Partial<FitArgs>, object]>([
    [{}, { consistency: { mode: "bsp" } }],
    [{ dense: "all-reduce" }, { consistency: { mode: "bsp" } }],
    [
      { consistency: bsp({ balance: true }), dense: "sharded" },
      { consistency: { mode: "bsp", balance: true }, dense: "sharded" },
    ],
    [
      { dense: "sharded", wire: { dense: "int8" } },
      { dense: "sharded", wire: { dense: "int8" } },
    ],
    [{ dense: "ps" }, { consistency: { mode: "bsp", quorum: 1 } }],
    [{ consistency: bsp({ quorum: 0.75 }), dense: "ps" }, { consistency: { mode: "bsp", quorum: 0.75 } }],
    [
      { consistency: ssp({ stalenessSteps: 8 }), cache: { stalenessSteps: 8 } },
      { consistency: { mode: "ssp", stalenessSteps: 8 }, cache: { stalenessSteps: 8 } },
    ],
    [
      { consistency: asp(), dense: "ps", cache: { stalenessSteps: 256, rowsMax: 1000 } },
      { consistency: { mode: "asp" }, cache: { stalenessSteps: 256, rowsMax: 1000 } },
    ],
    [
      { consistency: localSgd({ every: { seconds: 2 } }), wire: { gradients: { topK: 0.1 }, dense: "float32" } },
      {
        consistency: { mode: "localSgd", every: { seconds: 2 }, outer: { kind: "average" } },
        wire: { gradients: { topK: 0.1 }, dense: "float32" },
      },
    ],
  ])("says in the mode where dense variables are, and takes what it gave: %j", (fit, expected) => {
    const job = defineJob({ ...sample, fit: { batchSize: 64, ...fit } });
    const defaults = { epochs: 1, batchSize: 64, shuffle: true, validate: "end", consistency: { mode: "bsp" } };
    expect(job.fit).toEqual({ ...defaults, ...expected });
    expect(defineJob(job)).toEqual(job);
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
    ...[0, 257, 1.5, undefined, "8"].map((stalenessSteps): Refusal => [
      withFit({ consistency: asp(), cache: { stalenessSteps } }),
      /fit.cache.stalenessSteps is .*; it must be an integer from 1 to 256, as 8$/,
    ]),
    [
      withFit({ consistency: ssp({ stalenessSteps: 4 }), cache: { stalenessSteps: 5 } }),
      'job "flight-delays": fit.cache.stalenessSteps is 5, above the 4 steps that ssp({ stalenessSteps: 4 }) promises; give at most that',
    ],
    [withFit({ consistency: asp(), cache: { stalenessSteps: 1, rowsMax: 0 } }), /fit.cache.rowsMax is 0; /],
    ...[0, 1, -0.1, NaN, "0.1"].map((topK): Refusal => [
      withFit({ wire: { gradients: { topK } } }),
      /fit.wire.gradients.topK is .*; give a share above 0 and below 1, usually 0.01$/,
    ]),
    [
      () => defineJob({ ...sample, compile: { ...sample.compile, clip: { globalNorm: 1 } }, fit: SHARDED }),
      /^job "flight-delays": fit: fit.dense is "sharded", and compile.clip.globalNorm needs all gradients in one place/,
    ],
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
