/**
 * What `lossSum` promises on every tfjs backend: the value of the formulas in float64, their slope by finite
 * differences, and, where tfjs has the loss, the mean that tfjs's own `evaluate` gives.
 */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import type { LossName } from "../../job/manifest.ts";
import { sampleLoss } from "../../metrics/sample-loss.ts";
import { activationUndoneBy, lossSum } from "./loss.ts";

const B = 5;

/** Numbers in (−1, 1) that repeat nowhere. */
const wave = (floats: number, by: number): Float32Array =>
  Float32Array.from({ length: floats }, (_, i) => Math.sin(i * by + 1));

interface Case {
  loss: LossName;
  O: number;
  L: number;
  /** Makes an output of a number in (−1, 1). */
  output: (x: number) => number;
  label: (i: number) => number;
  /** Name for tfjs's compile; undefined where tfjs has no such loss or another label. */
  tfjs?: string;
}

const probability = (x: number): number => 0.5 + 0.45 * x;
const wide = (x: number): number => 3 * x;
const binary = (i: number): number => ((i * 7) % 3 === 0 ? 1 : 0);
const real = (i: number): number => Math.cos(i * 2.1);

const CASES: Case[] = [
  { loss: "binaryCrossentropy", O: 1, L: 1, output: probability, label: binary, tfjs: "binaryCrossentropy" },
  { loss: "binaryCrossentropy", O: 3, L: 3, output: probability, label: binary, tfjs: "binaryCrossentropy" },
  {
    loss: "categoricalCrossentropy",
    O: 3,
    L: 3,
    output: probability,
    label: (i) => (i % 3 === ((i * 5) % 7) % 3 ? 1 : 0),
    tfjs: "categoricalCrossentropy",
  },
  {
    loss: "sparseCategoricalCrossentropy",
    O: 4,
    L: 1,
    output: probability,
    label: (i) => (i * 3) % 4,
    tfjs: "sparseCategoricalCrossentropy",
  },
  { loss: "meanSquaredError", O: 3, L: 3, output: wide, label: real, tfjs: "meanSquaredError" },
  { loss: "meanAbsoluteError", O: 3, L: 3, output: wide, label: real, tfjs: "meanAbsoluteError" },
  { loss: "huber", O: 3, L: 3, output: wide, label: real },
  { loss: "logcosh", O: 2, L: 2, output: wide, label: real, tfjs: "logcosh" },
  { loss: "poisson", O: 2, L: 2, output: (x) => 1.5 + x, label: (i) => i % 4, tfjs: "poisson" },
  { loss: "hinge", O: 2, L: 2, output: wide, label: (i) => (i % 3 === 0 ? -1 : 1), tfjs: "hinge" },
  { loss: "hinge", O: 1, L: 1, output: wide, label: binary },
  { loss: "bpr", O: 4, L: 1, output: wide, label: () => 0 },
  { loss: "sampledSoftmax", O: 4, L: 1, output: wide, label: () => 0 },
];

const weightOf = (b: number): number => [1, 0.5, 0, 2, 3][b]!;

/** Σ loss and its slope, on the backend that is set. */
async function onDevice(
  loss: LossName,
  at: { outputs: Float32Array; labels: Float32Array; weight?: Float32Array; form?: "logits" },
): Promise<{ sum: number; slope: Float32Array }> {
  const [sum, slope] = tf.tidy(() => {
    const label = tf.tensor2d(at.labels, [B, at.labels.length / B]);
    const weight = at.weight && tf.tensor1d(at.weight);
    const output = tf.tensor2d(at.outputs, [B, at.outputs.length / B]);
    const total = (x: tf.Tensor) =>
      lossSum(loss, { output: x as tf.Tensor2D, label, weight, form: at.form ?? "values" });
    const { value, grad } = tf.valueAndGrad(total)(output);
    return [value, grad];
  });
  const result = { sum: (await sum.data())[0]!, slope: (await slope.data()) as Float32Array };
  tf.dispose([sum, slope]);
  return { ...result, slope: result.slope.slice() };
}

/** The same by the formulas in float64: central differences, which float64 allows to about 1e-9. */
function byFormula(
  loss: LossName,
  at: {
    outputs: Float64Array;
    labels: Float32Array;
    weight?: Float32Array;
    activate?: (row: Float64Array) => Float64Array;
  },
): { sum: number; slope: number[] } {
  const O = at.outputs.length / B;
  const lossAt = (outputs: Float64Array): number => {
    let sum = 0;
    for (let b = 0; b < B; b++) {
      const row = outputs.slice(b * O, (b + 1) * O);
      const scores = at.activate ? at.activate(row) : row;
      const labelWidth = at.labels.length / B;
      const batch = {
        samples: 1,
        // The formulas read numbers, whatever array they are in.
        scores: scores as unknown as Float32Array,
        outputs: O,
        labels: at.labels.slice(b * labelWidth, (b + 1) * labelWidth),
        labelWidth,
      };
      sum += (at.weight?.[b] ?? 1) * sampleLoss(loss, batch, 0);
    }
    return sum;
  };
  const H = 1e-6;
  const slope = Array.from(at.outputs, (_, i) => {
    const [above, below] = [at.outputs.slice(), at.outputs.slice()];
    above[i]! += H;
    below[i]! -= H;
    return (lossAt(above) - lossAt(below)) / (2 * H);
  });
  return { sum: lossAt(at.outputs), slope };
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(got.length).toBe(wanted.length);
  const scale = Math.max(1e-3, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i]! - wanted[i]!) / scale).toBeLessThan(2e-5);
}

const sigmoid = (row: Float64Array): Float64Array => row.map((z) => 1 / (1 + Math.exp(-z)));
const softmax = (row: Float64Array): Float64Array => {
  const powers = row.map((z) => Math.exp(z));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
};

/** @param setUp sets the backend to test */
export function lossContract(setUp: () => Promise<unknown>): void {
  describe("lossSum()", () => {
    beforeAll(setUp);

    it.each(CASES)("has the value and the slope of its definition: $loss of $O outputs", async (each) => {
      const { loss, O, L } = each;
      const outputs = wave(B * O, 1.3).map(each.output);
      const labels = Float32Array.from({ length: B * L }, (_, i) => each.label(i));
      const weight = Float32Array.from({ length: B }, (_, b) => weightOf(b));
      const before = tf.memory().numTensors;
      for (const weights of [{}, { weight }]) {
        const got = await onDevice(loss, { outputs, labels, ...weights });
        const wanted = byFormula(loss, { outputs: Float64Array.from(outputs), labels, ...weights });
        expect(got.sum / wanted.sum).toBeCloseTo(1, 5);
        expectClose(got.slope, wanted.slope);
      }
      expect(tf.memory().numTensors).toBe(before);
    });

    it.each(CASES.filter(({ tfjs }) => tfjs !== undefined))("is tfjs's own: $loss of $O outputs", async (each) => {
      const { loss, O, L, tfjs } = each;
      const outputs = wave(B * O, 1.3).map(each.output);
      const labels = Float32Array.from({ length: B * L }, (_, i) => each.label(i));
      const { sum } = await onDevice(loss, { outputs, labels });
      const model = tfl.sequential({ layers: [tfl.layers.activation({ activation: "linear", inputShape: [O] })] });
      model.compile({ optimizer: "sgd", loss: tfjs! });
      const [x, y] = [tf.tensor2d(outputs, [B, O]), tf.tensor2d(labels, [B, L])];
      const theirs = model.evaluate(x, y, { batchSize: B }) as tf.Scalar;
      // tfjs's ε, inside its logarithms, is 1e-4 once it has seen a device of half precision.
      expect(sum / B / (await theirs.data())[0]!).toBeCloseTo(1, 3);
      tf.dispose([x, y, theirs]);
      model.dispose();
    });

    it.each<[LossName, number, number]>([
      ["binaryCrossentropy", 2, 2],
      ["categoricalCrossentropy", 3, 3],
      ["sparseCategoricalCrossentropy", 3, 1],
    ])("works with logits: %s", async (loss, O, L) => {
      const outputs = wave(B * O, 1.3).map(wide);
      const labels = Float32Array.from({ length: B * L }, (_, i) => (L === 1 ? i % O : i % 2));
      const got = await onDevice(loss, { outputs, labels, form: "logits" });
      const activate = activationUndoneBy(loss) === "sigmoid" ? sigmoid : softmax;
      const wanted = byFormula(loss, { outputs: Float64Array.from(outputs), labels, activate });
      expect(got.sum / wanted.sum).toBeCloseTo(1, 5);
      expectClose(got.slope, wanted.slope);
    });

    it("keeps its slope where a probability would be 0 in float32", async () => {
      const outputs = Float32Array.from({ length: 2 * B }, (_, i) => (i % 2 === 0 ? 80 : -80));
      const crossentropy = await onDevice("sparseCategoricalCrossentropy", {
        outputs,
        labels: new Float32Array(B).fill(1),
        form: "logits",
      });
      expect([...crossentropy.slope.subarray(0, 2)]).toEqual([1, -1]);
      expect(crossentropy.sum).toBeCloseTo(160 * B, 3);
      const bpr = await onDevice("bpr", { outputs: outputs.map((s) => -s), labels: new Float32Array(B) });
      expect([...bpr.slope.subarray(0, 2)]).toEqual([-1, 1]);
      expect(bpr.sum).toBeCloseTo(160 * B, 3);
    });

    it("has no slope where an error is 0", async () => {
      for (const loss of ["meanAbsoluteError", "huber", "logcosh"] as const) {
        const values = wave(B, 1);
        const { sum, slope } = await onDevice(loss, { outputs: values, labels: values });
        expect(sum).toBeCloseTo(0, 6);
        expect([...slope].map(Math.abs)).toEqual([0, 0, 0, 0, 0]);
      }
    });
  });
}
