import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { fm, pairInteractions } from "./fm.ts";

beforeAll(() => tf.setBackend("cpu"));

const [B, F, D] = [3, 4, 2];
const values = Array.from({ length: B * F * D }, (_, i) => Math.sin(i * 1.7));

/** Σ over pairs f < g of v_f · v_g, by definition. */
function byDefinition(packed: readonly number[], b: number): number {
  const v = (f: number, d: number) => packed[b * F * D + f * D + d]!;
  let sum = 0;
  for (let f = 0; f < F; f++) for (let g = f + 1; g < F; g++) for (let d = 0; d < D; d++) sum += v(f, d) * v(g, d);
  return sum;
}

describe("fm", () => {
  it("sums the dot products of all pairs, and has their gradient", () => {
    const weights = [1, -2, 0.5];
    const { value, grad } = tf.tidy(() => {
      const x = tf.tensor2d(values, [B, F * D]);
      const weighted = (t: tf.Tensor) =>
        tf.sum(tf.mul(pairInteractions(t as tf.Tensor2D, D), tf.tensor2d(weights, [B, 1])));
      const result = tf.valueAndGrad(weighted)(x);
      return { value: result.value.dataSync()[0]!, grad: result.grad.dataSync().slice() };
    });
    const total = (packed: readonly number[]) => weights.reduce((sum, w, b) => sum + w * byDefinition(packed, b), 0);
    expect(value).toBeCloseTo(total(values), 5);
    for (const [i, slope] of grad.entries()) {
      const moved = (by: number) => total(values.with(i, values[i]! + by));
      expect(slope).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 4);
    }
  });

  it("is a layer over embeddings of one width", () => {
    const inputs = Array.from({ length: F }, () => tfl.input({ shape: [D] }));
    const output = fm().apply(inputs) as tfl.SymbolicTensor;
    expect(output.shape).toEqual([null, 1]);
    const model = tfl.model({ inputs, outputs: output });
    const logits = tf.tidy(() => {
      const rows = tf.split(tf.tensor2d(values, [B, F * D]), F, 1);
      return (model.predict(rows) as tf.Tensor).dataSync().slice();
    });
    expect(logits.length).toBe(B);
    for (const [b, logit] of logits.entries()) expect(logit).toBeCloseTo(byDefinition(values, b), 5);
  });

  it("refuses a single tensor and widths that differ", () => {
    const [two, three] = [tfl.input({ shape: [2] }), tfl.input({ shape: [3] })];
    expect(() => fm().apply(two)).toThrow(
      new TypeError("fm(): apply it to two or more embeddings, as through([a, b, c], fm())"),
    );
    expect(() => fm().apply([two, three])).toThrow(
      new TypeError("fm(): embeddings must have one width; got shapes [null,2] and [null,3]"),
    );
  });
});
