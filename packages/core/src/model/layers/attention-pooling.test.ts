import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { attentionPooling, type AttentionPoolingArgs } from "./attention-pooling.ts";

beforeAll(() => tf.setBackend("cpu"));

const input = (...shape: number[]) => tfl.input({ shape });

describe("attentionPooling", () => {
  it("refuses malformed arguments", () => {
    const refusal = (args: object) => () => attentionPooling(args);
    expect(refusal({ units: 0 })).toThrow(/attentionPooling\(\): units is 0; it must be an integer from 1 to/);
    expect(refusal({ query: "given" })).toThrow(/query is "given"; use one of "learned", "input"/);
    expect(refusal({ units: 4, activation: "prelu" })).toThrow(
      /activation is "prelu"; use one of "linear", "relu", "sigmoid", "tanh"/,
    );
    expect(refusal({ activation: "tanh" })).toThrow(
      /activation is "tanh", of a hidden layer that is not there; give it units/,
    );
    expect(refusal({ heads: 2 })).toThrow(/"heads" is unknown/);
  });

  it("refuses inputs that do not fit its query", () => {
    const remedy =
      /attentionPooling\(\{ query: "input" \}\): got shape .*; apply it to a sequence \[null,L,D\] and a query \[null,D\]/;
    expect(() => attentionPooling().apply([input(5, 4), input(4)])).toThrow(/apply it to a sequence \[null,L,D\]/);
    expect(() => attentionPooling().apply(input(4))).toThrow(/got shape \[null,4\]; apply it to a sequence/);
    for (const inputs of [input(5, 4), [input(5, 4), input(3)], [input(5, 4), input(5, 4)]]) {
      expect(() => attentionPooling({ query: "input" }).apply(inputs)).toThrow(remedy);
    }
    expect(() => attentionPooling({ query: "input" }).apply([input(5, 4), input(4), input(4)])).toThrow(remedy);
  });

  it("learns a query, or a hidden layer, or nothing where the dot product with an input is the score", () => {
    const shapes = (args: AttentionPoolingArgs) => {
      const layer = attentionPooling(args);
      layer.apply(args.query === "input" ? [input(5, 4), input(4)] : input(5, 4));
      return layer.weights.map(({ shape }) => shape);
    };
    expect(shapes({})).toEqual([[4, 1]]);
    expect(shapes({ units: 3 })).toEqual([[4, 3], [3], [3, 1]]);
    expect(shapes({ query: "input" })).toEqual([]);
    expect(shapes({ query: "input", units: 3 })).toEqual([[12, 3], [3], [3, 1]]);
  });
});
