import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { adagrad } from "../optimizer/index.ts";
import { embedding, VolaryEmbedding, type EmbeddingArgs } from "./embedding.ts";
import { normal } from "./initializer.ts";
import { input } from "./input.ts";

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
        'embedding(): "dims" is unknown; there are "table", "dim", "initializer", "optimizer", "name". Did you mean "dim"?',
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
    expect(() => rows.apply(computed)).toThrow(/apply it to an input\(\), one at a time/);
  });

  it("has no weights and cannot run by itself", () => {
    const hour = input({ name: "hour", dtype: "int32" });
    const model = tfl.model({ inputs: hour, outputs: embedding({ table: "hour", dim: 2 }).apply(hour) });
    expect(model.countParams()).toBe(0);
    expect(() => tf.tidy(() => model.predict(tf.zeros([3, 1], "int32")))).toThrow(/rows live on the parameter servers/);
  });

  it("comes back from a saved model as it was, capitals and underscores in the table's name too", async () => {
    const hour = input({ name: "hour", dtype: "int32" });
    const made = embedding({ table: "Hour_ofDay", dim: 2, initializer: normal(), optimizer: adagrad() });
    const saved = JSON.stringify(tfl.model({ inputs: hour, outputs: made.apply(hour) }).toJSON(null, false));
    const model = await tfl.models.modelFromJSON(JSON.parse(saved));
    const layer = model.layers.find((each) => each instanceof VolaryEmbedding)!;
    expect(layer).toMatchObject({ table: "Hour_ofDay", dim: 2, initializer: normal(), optimizer: adagrad() });
  });
});
