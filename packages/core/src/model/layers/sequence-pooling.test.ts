import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { sequencePooling, type SequencePoolingArgs } from "./sequence-pooling.ts";
import { through } from "./through.ts";

beforeAll(() => tf.setBackend("cpu"));

describe("sequencePooling", () => {
  it("refuses malformed arguments", () => {
    expect(() => sequencePooling({ mode: "average" as "mean" })).toThrow(
      /sequencePooling\(\): mode is "average"; use one of "mean", "sum", "max"/,
    );
    expect(() => sequencePooling({} as SequencePoolingArgs)).toThrow(/mode is undefined/);
    expect(() => sequencePooling({ mode: "sum", axis: 1 } as SequencePoolingArgs)).toThrow(/"axis" is unknown/);
  });

  it("refuses what is no sequence", () => {
    expect(() => sequencePooling({ mode: "sum" }).apply(tfl.input({ shape: [8] }))).toThrow(
      /sequencePooling\(\): got shape \[null,8\]; apply it to a sequence \[null,L,D\]/,
    );
  });

  it("takes the mask that tfjs passes on, and passes none", () => {
    const ids = tfl.input({ shape: [3] });
    const rows = tfl.layers.embedding({ inputDim: 4, outputDim: 2, maskZero: true, embeddingsInitializer: "ones" });
    const outputs = through(ids, rows, sequencePooling({ mode: "sum" }), tfl.layers.reLU());
    const counts = tf.tidy(() => {
      const model = tfl.model({ inputs: ids, outputs });
      return (model.predict(tf.tensor2d([1, 2, 0, 3, 0, 0, 0, 0, 0], [3, 3])) as tf.Tensor2D).arraySync();
    });
    expect(counts).toEqual([
      [2, 2],
      [1, 1],
      [0, 0],
    ]);
  });
});
