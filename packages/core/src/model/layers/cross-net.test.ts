import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { crossNet, type CrossNetArgs } from "./cross-net.ts";

beforeAll(() => tf.setBackend("cpu"));

const features = (...shape: number[]) => tfl.input({ shape });

describe("crossNet", () => {
  it("refuses malformed arguments", () => {
    const refusal = (args: object) => () => crossNet(args as CrossNetArgs);
    expect(refusal({})).toThrow(
      new RangeError("crossNet(): layers is undefined; it must be an integer from 1 to 100, as 3"),
    );
    expect(refusal({ layers: 2, rank: 1.5 })).toThrow(/rank is 1.5; it must be an integer from 1 to/);
    expect(refusal({ layers: 2, depth: 3 })).toThrow(/"depth" is unknown/);
    expect(refusal({ layers: 2, kernelInitializer: "glorotnormal" })).toThrow(
      /crossNet\(\): kernelInitializer is "glorotnormal"; use one of .*"glorotNormal"/,
    );
  });

  it("refuses inputs that are not one vector a sample, and a rank over its width", () => {
    expect(() => crossNet({ layers: 1 }).apply(features(3, 4))).toThrow(
      /crossNet\(\): got shape \[null,3,4\]; apply it to one tensor \[null,D\]/,
    );
    expect(() => crossNet({ layers: 1 }).apply([features(4), features(4)])).toThrow(
      /got shape \[\[null,4\],\[null,4\]\]; .*concatenate/,
    );
    expect(() => crossNet({ layers: 1, rank: 5 }).apply(features(4))).toThrow(
      new RangeError("crossNet(): rank is 5 of 4 features; leave it out for the whole matrix"),
    );
  });

  it("has a map and a bias for each layer, named by it", () => {
    const shapes = (args: CrossNetArgs) => {
      const layer = crossNet({ ...args, name: "crossed" });
      layer.apply(features(4));
      return Object.fromEntries(layer.weights.map(({ originalName, shape }) => [originalName, shape]));
    };
    expect(shapes({ layers: 2 })).toEqual({
      "crossed/kernel_0": [4, 4],
      "crossed/bias_0": [4],
      "crossed/kernel_1": [4, 4],
      "crossed/bias_1": [4],
    });
    expect(shapes({ layers: 1, rank: 2 })).toEqual({
      "crossed/v_0": [4, 2],
      "crossed/u_0": [2, 4],
      "crossed/bias_0": [4],
    });
  });
});
