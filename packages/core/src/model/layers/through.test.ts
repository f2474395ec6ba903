import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import { input } from "./input.ts";
import { through } from "./through.ts";

const number = (name: string) => input({ name, dtype: "float32" });

describe("through", () => {
  it("applies layers from left to right", () => {
    const joined = through(
      [number("a"), number("b"), number("c")],
      tfl.layers.concatenate(),
      tfl.layers.reshape({ targetShape: [3, 1] }),
    );
    expect(joined.shape).toEqual([null, 3, 1]);
    const one = number("d");
    expect(through(one)).toBe(one);
  });

  it("refuses what is no layer, naming its place", () => {
    expect(() =>
      through(
        number("a"),
        tfl.layers.activation({ activation: "relu" }),
        tfl.layers.dense as unknown as tfl.layers.Layer,
      ),
    ).toThrow(/step 2 of 2 is no layer/);
  });

  it("refuses several tensors with nothing to join them", () => {
    expect(() => through([number("a"), number("b")])).toThrow(
      new TypeError("through(): 2 tensors and no layer to join them; begin with tf.layers.concatenate()"),
    );
  });
});
