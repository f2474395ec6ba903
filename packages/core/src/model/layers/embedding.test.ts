import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { adagrad } from "../../optimizer/index.ts";
import { embedding, VolaryEmbedding, type EmbeddingArgs } from "./embedding.ts";
import { normal } from "./initializer.ts";
import { afterUpdates, countingBloom, leastRecent } from "./vocabulary.ts";
import type { Usage } from "../../job/manifest.ts";
import { input, type InputArgs } from "./input.ts";

beforeAll(() => tf.setBackend("cpu"));

describe("embedding", () => {
  it.each([0, -1, 1.5, NaN, Infinity, 65_537, "16", undefined])(
    "refuses dim %s, with its limits and a usual one",
    (dim) => {
      expect(() => embedding({ table: "route", dim: dim as number })).toThrow(
        new RangeError(`embedding of table "route": dim is ${dim}; it must be an integer from 1 to 65536, as dim: 16`),
      );
    },
  );

  it.each(["", "~dense", 7, "x".repeat(201)])("refuses %s as a table's name", (table) => {
    expect(() => embedding({ table: table as string, dim: 1 })).toThrow(TypeError);
  });

  it("refuses an option it does not have, with the nearest", () => {
    expect(() => embedding({ table: "route", dims: 16 } as unknown as EmbeddingArgs)).toThrow(
      new TypeError(
        'embedding(): "dims" is unknown; there are "table", "dim", "combiner", "mask", "maskZero", "dtype", "initializer", "optimizer", "l2", "maxNorm", "clip", "admit", "evict", "name". Did you mean "dim"?',
      ),
    );
  });

  it("refuses an initializer that is none", () => {
    const initializer = "glorotNormal" as unknown as NonNullable<EmbeddingArgs["initializer"]>;
    expect(() => embedding({ table: "route", dim: 1, initializer })).toThrow(
      /initializer is "glorotNormal"; make it with uniform\(\)/,
    );
  });

  it("gives a tensor of shape [null, dim], whatever the vocabulary", () => {
    const rows = embedding({ table: "route", dim: 16 }).apply(input({ name: "route", dtype: "string" }));
    expect(rows.shape).toEqual([null, 16]);
  });

  it("refuses numbers, and anything computed", () => {
    const rows = embedding({ table: "route", dim: 16 });
    expect(() => rows.apply(input({ name: "distance", dtype: "float32" }))).toThrow(
      /table "route": input "distance" is float32, which gives numbers, not keys; give it the dtype "int32"/,
    );
    const computed = tfl.layers
      .activation({ activation: "relu" })
      .apply(input({ name: "hour", dtype: "int32" })) as tfl.SymbolicTensor;
    expect(() => rows.apply(computed)).toThrow(
      /apply it to an input\(\), or to \[ids, weights\], both input\(\)s: keys cannot be computed/,
    );
  });

  it("has no weights and cannot run by itself", () => {
    const hour = input({ name: "hour", dtype: "int32" });
    const model = tfl.model({ inputs: hour, outputs: embedding({ table: "hour", dim: 2 }).apply(hour) });
    expect(model.countParams()).toBe(0);
    expect(() => tf.tidy(() => model.predict(tf.zeros([3, 1], "int32")))).toThrow(/rows live on the parameter servers/);
  });

  it("comes back from a saved model as it was, capitals and underscores in the table's name too", async () => {
    const hour = input({ name: "hour", dtype: "int32" });
    const made = embedding({
      table: "Hour_ofDay",
      dim: 2,
      dtype: "bfloat16",
      initializer: normal(),
      optimizer: adagrad(),
      l2: 1e-3,
      maxNorm: 2,
      clip: { norm: 1 },
      admit: afterUpdates(3, countingBloom({ keys: 1000 })),
      evict: leastRecent({ rowsMax: 1e6, expireSteps: 10_000 }),
    });
    const saved = JSON.stringify(tfl.model({ inputs: hour, outputs: made.apply(hour) }).toJSON(null, false));
    const model = await tfl.models.modelFromJSON(JSON.parse(saved));
    const layer = model.layers.find((each) => each instanceof VolaryEmbedding)!;
    expect(layer).toMatchObject({ table: "Hour_ofDay", dim: 2, initializer: normal() });
    expect(layer.tableOptions).toEqual({
      dtype: "bfloat16",
      optimizer: adagrad(),
      l2: 1e-3,
      maxNorm: 2,
      clip: { norm: 1 },
      admission: { kind: "count", updates: 3, counter: { kind: "bloom", keys: 1000, falsePositives: 0.01 } },
      eviction: { rowsMax: 1e6, expireSteps: 10_000, order: "least-recent" },
    });
  });

  it("stores rows as float32 unless another dtype is named", () => {
    const dtypes = ([undefined, "float32", "bfloat16", "int8"] as const).map((dtype) => {
      const layer = embedding({ table: "item", dim: 2, ...(dtype && { dtype }) });
      return layer.tableOptions.dtype;
    });
    expect(dtypes).toEqual([undefined, undefined, "bfloat16", "int8"]);
  });

  const list = (shape: InputArgs["shape"] = [null]) => input({ name: "tags", dtype: "string", shape });
  const weights = (shape: InputArgs["shape"] = [null]) => input({ name: "w", dtype: "float32", shape });
  const table = (options: Partial<EmbeddingArgs> = {}) => embedding({ table: "tag", dim: 4, ...options });

  it.each<[string, Partial<EmbeddingArgs>, tfl.SymbolicTensor[], Usage, (number | null)[]]>([
    ["one key", {}, [list([1])], { kind: "one" }, [null, 4]],
    ["one key, no mask", { mask: "none" }, [list([1])], { kind: "one" }, [null, 4]],
    ["a list, summed", { combiner: "sum" }, [list()], { kind: "pooled", combiner: "sum" }, [null, 4]],
    [
      "a weighted list",
      { combiner: "sqrtn" },
      [list(), weights()],
      { kind: "pooled", combiner: "sqrtn", weights: "w" },
      [null, 4],
    ],
    [
      "at most five of a list",
      { combiner: "mean" },
      [list([5])],
      { kind: "pooled", combiner: "mean", length: 5 },
      [null, 4],
    ],
    ["a sequence", {}, [list([5])], { kind: "sequence", length: 5, mask: "padding" }, [null, 5, 4]],
    ["maskZero", { maskZero: true }, [list([5])], { kind: "sequence", length: 5, mask: "zero-key" }, [null, 5, 4]],
    ["no mask", { mask: "none" }, [list([5])], { kind: "sequence", length: 5, mask: "none" }, [null, 5, 4]],
    [
      "a masked sequence of one",
      { maskZero: true },
      [list([1])],
      { kind: "sequence", length: 1, mask: "zero-key" },
      [null, 1, 4],
    ],
  ])("takes %s", async (_, options, inputs, usage, shape) => {
    const layer = table(options);
    const rows = layer.apply(inputs);
    expect(rows.shape).toEqual(shape);
    expect(layer.usageOn(inputs)).toEqual(usage);
    const saved = JSON.stringify(tfl.model({ inputs, outputs: rows }).toJSON(null, false));
    const again = await tfl.models.modelFromJSON(JSON.parse(saved));
    const back = again.layers.find((each) => each instanceof VolaryEmbedding)!;
    expect(back.usageOn(again.inputs)).toEqual(usage);
  });

  it.each<[string, Partial<EmbeddingArgs>, tfl.SymbolicTensor[], RegExp]>([
    ["a list without a combiner", {}, [list()], /"tags" gives lists of any length; combine them with combiner: "mean"/],
    [
      "a combiner of one key",
      { combiner: "sum" },
      [list([1])],
      /"tags" gives one key, and combiner: "sum" combines a list; give the input shape: \[null\]/,
    ],
    ["weights without a combiner", {}, [list([5]), weights([5])], /weights "w" need a combiner/],
    [
      "weights of another shape",
      { combiner: "sum" },
      [list(), weights([5])],
      /weights "w" have the shape \[5\] and keys "tags" \[null\]; give both one shape/,
    ],
    [
      "weights that are keys",
      { combiner: "sum" },
      [list(), list()],
      /input "tags" is string, and the second input gives the weights/,
    ],
    [
      "a mask and a combiner",
      { combiner: "sum", mask: "padding" },
      [list()],
      /a mask marks places of a sequence, and combiner: "sum" leaves none/,
    ],
    [
      "keys of two sizes",
      {},
      [tfl.input({ shape: [2, 3], dtype: "int32", name: "ids" })],
      /input "ids" has the shape \[2, 3\]; keys come one by one/,
    ],
    [
      "three inputs",
      { combiner: "sum" },
      [list(), weights(), weights()],
      /apply it to an input\(\), or to \[ids, weights\]/,
    ],
  ])("refuses %s", (_, options, inputs, message) => {
    expect(() => table(options).apply(inputs)).toThrow(message);
  });

  it.each<[Partial<EmbeddingArgs>, RegExp]>([
    [{ combiner: "avg" as "mean" }, /combiner is "avg"; use one of "sum", "mean", "sqrtn"/],
    [{ mask: "zero" as "none" }, /mask is "zero"; use one of "none", "padding", "zero-key"/],
    [{ maskZero: true, mask: "none" }, /maskZero is true and mask "none"; give one of them/],
    [
      { dtype: "float16" as "bfloat16" },
      /dtype is "float16"; use one of "float32", "bfloat16", "int8"\. Did you mean "bfloat16"\?/,
    ],
    [{ l2: 0 }, /l2 is 0; it must be a number over 0/],
    [{ maxNorm: -1 }, /maxNorm is -1; it must be a number over 0/],
    [{ admit: 3 as unknown as NonNullable<EmbeddingArgs["admit"]> }, /admit is 3; make it with afterUpdates\(3\)/],
    [{ evict: { order: "least-recent" } }, /evict is \{"order":"least-recent"\}; make it with leastRecent\(\{ rowsMax/],
    [{ clip: { norm: 0 } }, /clip is \{"norm":0\}; give \{ value \} or \{ norm \}/],
  ])("refuses the options %j", (options, message) => {
    expect(() => table(options)).toThrow(message);
  });
});
