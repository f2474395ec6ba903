/**
 * What the layers of this folder, and tfjs's layer normalization, promise on every tfjs backend: their values are those
 * of plain arithmetic in double precision, their gradients its finite differences, and no tensor is left behind.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attentionPooling } from "./attention-pooling.ts";
import { crossNet } from "./cross-net.ts";
import {
  ACTIVATIONS,
  attendedByDefinition,
  crossByDefinition,
  dot,
  mapped,
  normalizedByDefinition,
  pairsByDefinition,
  part,
  plus,
  pooledByDefinition,
  range,
  times,
  type Numbers,
} from "./layer-definitions.contract.ts";
import { pairwiseDot } from "./pairwise-dot.ts";
import { sequencePooling } from "./sequence-pooling.ts";

interface Case {
  make: () => layers.Layer;
  /** Of each input, the batch first. */
  shapes: number[][];
  mask?: { of: Numbers; dtype: "bool" | "float32" };
  /** The output, flat, of flat inputs and flat weights. */
  byDefinition: (inputs: Numbers[], weights: Numbers[]) => number[];
}

const [B, F, L, D, H] = [3, 4, 5, 6, 7];

/** Numbers that repeat nowhere, the same on every machine. */
const wave = (shape: Numbers, phase: number): number[] =>
  range(
    shape.reduce((size, n) => size * n, 1),
    (i) => Math.sin(1.7 * i + phase),
  );

/** Sample 0 counts whole, 1 in part, 2 nowhere. */
const MASK = [1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0];
const MASKS: Record<string, Case["mask"]> = {
  "without a mask": undefined,
  "under a mask of bools": { of: MASK, dtype: "bool" },
  "under a mask of floats": { of: MASK, dtype: "float32" },
};
const placesThatCount = (b: number, mask: Case["mask"]): number[] =>
  range(L, (l) => l).filter((l) => mask === undefined || mask.of[b * L + l] === 1);

/** The cases of a layer that pools a sequence, under each kind of mask. */
function poolingCases(
  name: string,
  make: () => layers.Layer,
  pool: (places: Numbers[], o: { query: Numbers; weights: Numbers[] }) => number[],
  { query }: { query: "input" | "none" } = { query: "none" },
): [string, Case][] {
  return Object.entries(MASKS).map(([masked, mask]): [string, Case] => [
    `${name} ${masked}`,
    {
      make,
      shapes:
        query === "input"
          ? [
              [B, L, D],
              [B, D],
            ]
          : [[B, L, D]],
      ...(mask && { mask }),
      byDefinition: ([x, q = []], weights) =>
        range(B, (b) => {
          const places = placesThatCount(b, mask).map((l) => part(x!, b * L + l, D));
          return places.length === 0 ? range(D, () => 0) : pool(places, { query: part(q, b, D), weights });
        }).flat(),
    },
  ]);
}

const CASES: [string, Case][] = [
  ...(["without", "with"] as const).flatMap((self): [string, Case][] => [
    [
      `pairwiseDot of ${F} embeddings, ${self} themselves`,
      {
        make: () => pairwiseDot({ self }),
        shapes: range(F, () => [B, D]),
        byDefinition: (v) =>
          range(B, (b) =>
            pairsByDefinition(
              v.map((each) => part(each, b, D)),
              self,
            ),
          ).flat(),
      },
    ],
    [
      `pairwiseDot of one tensor, ${self} themselves`,
      {
        make: () => pairwiseDot({ self }),
        shapes: [[B, F, D]],
        byDefinition: ([v]) =>
          range(B, (b) =>
            pairsByDefinition(
              range(F, (f) => part(v!, b * F + f, D)),
              self,
            ),
          ).flat(),
      },
    ],
  ]),
  [
    "crossNet of whole matrices",
    {
      make: () => crossNet({ layers: 3 }),
      shapes: [[B, D]],
      byDefinition: ([x], w) => {
        const maps = range(3, (l) => ({ kernels: [w[2 * l]!], bias: w[2 * l + 1]! }));
        return range(B, (b) => crossByDefinition(part(x!, b, D), maps)).flat();
      },
    },
  ],
  [
    "crossNet of rank 2",
    {
      make: () => crossNet({ layers: 2, rank: 2 }),
      shapes: [[B, D]],
      byDefinition: ([x], w) => {
        const maps = range(2, (l) => ({ kernels: [w[3 * l]!, w[3 * l + 1]!], bias: w[3 * l + 2]! }));
        return range(B, (b) => crossByDefinition(part(x!, b, D), maps)).flat();
      },
    },
  ],
  ...(["mean", "sum", "max"] as const).flatMap((mode) =>
    poolingCases(
      `sequencePooling by ${mode}`,
      () => sequencePooling({ mode }),
      (places) => pooledByDefinition(mode, places),
    ),
  ),
  ...poolingCases(
    "attentionPooling, query learned",
    () => attentionPooling(),
    (places, { weights: [query] }) => attendedByDefinition(places, (x) => dot(x, query!) / Math.sqrt(D)),
  ),
  ...poolingCases(
    "attentionPooling, query given",
    () => attentionPooling({ query: "input" }),
    (places, { query }) => attendedByDefinition(places, (x) => dot(x, query) / Math.sqrt(D)),
    { query: "input" },
  ),
  ...(["linear", "relu", "sigmoid", "tanh"] as const).flatMap((activation) => [
    ...poolingCases(
      `attentionPooling, hidden ${activation}`,
      () => attentionPooling({ units: H, activation }),
      (places, { weights: [kernel, bias, score] }) =>
        attendedByDefinition(places, (x) =>
          dot(plus(mapped(x, kernel!, H), bias!).map(ACTIVATIONS[activation]), score!),
        ),
    ),
    ...poolingCases(
      `attentionPooling, query given, hidden ${activation}`,
      () => attentionPooling({ units: H, activation, query: "input" }),
      (places, { query, weights: [kernel, bias, score] }) =>
        attendedByDefinition(places, (x) => {
          const hidden = plus(mapped([...query, ...x, ...times(query, x)], kernel!, H), bias!);
          return dot(hidden.map(ACTIVATIONS[activation]), score!);
        }),
      { query: "input" },
    ),
  ]),
  [
    "tfjs's layerNormalization",
    {
      make: () => layers.layerNormalization(),
      shapes: [[B, L, D]],
      byDefinition: ([x], weights) => range(B * L, (i) => normalizedByDefinition(part(x!, i, D), weights)).flat(),
    },
  ],
];

interface Run {
  output: number[];
  shape: number[];
  /** Of Σ coefficient × output, for each input and then each weight. */
  grads: number[][];
}

const COEFFICIENTS = (size: number): number[] => wave([size], 0.3);

/** The layer's output and gradients on the backend that is set; inputs and weights are waves. */
function run(layer: layers.Layer, { shapes, mask }: Case, inputs: Numbers[], weights: Numbers[]): Run {
  return tf.tidy(() => {
    const tensors = inputs.map((values, i) => tf.tensor(Array.from(values), shapes[i]));
    const kwargs = mask ? { mask: tf.tensor(Array.from(mask.of), [B, L], mask.dtype) } : {};
    const argument = tensors.length === 1 ? tensors[0]! : tensors;
    for (const [i, weight] of layer.weights.entries()) {
      weight.write(tf.tensor(Array.from(weights[i]!), weight.shape as number[]));
    }
    const output = layer.apply(argument, kwargs) as tf.Tensor;
    const loss = (): tf.Scalar => {
      const out = layer.apply(argument, kwargs) as tf.Tensor;
      return tf.sum(tf.mul(out, tf.tensor(COEFFICIENTS(out.size), out.shape)));
    };
    const { grads } = tf.engine().gradients(loss, [...tensors, ...layer.weights.map((weight) => weight.read())]);
    return {
      output: Array.from(output.dataSync()),
      shape: output.shape,
      grads: grads.map((grad) => Array.from(grad.dataSync())),
    };
  });
}

/** Builds the layer's weights, before tensors are counted. */
function built(each: Case): layers.Layer {
  const layer = each.make();
  layer.build(shapeOf(each));
  return layer;
}

/** As tfjs hands it to a layer: of one input its shape, of several a list. */
const shapeOf = ({ shapes }: Case): number[] | number[][] => (shapes.length === 1 ? shapes[0]! : shapes);

function expectClose(got: Numbers, wanted: Numbers): void {
  expect(got.length).toBe(wanted.length);
  const scale = Math.max(1e-2, ...wanted.map(Math.abs));
  for (const [i, value] of wanted.entries()) {
    if (!(Math.abs(got[i]! - value) / scale < 3e-5)) expect(got).toEqual(wanted);
  }
}

/** Central differences of Σ coefficient × output, in double precision. */
function slopes({ byDefinition }: Case, inputs: Numbers[], weights: Numbers[]): number[][] {
  const all = [...inputs, ...weights];
  const total = (values: Numbers[]): number => {
    const output = byDefinition(values.slice(0, inputs.length), values.slice(inputs.length));
    return dot(output, COEFFICIENTS(output.length));
  };
  const by = 1e-6;
  return all.map((values, at) =>
    values.map((value, i) => {
      const moved = (amount: number) => total(all.with(at, values.with(i, value + amount)));
      return (moved(by) - moved(-by)) / (2 * by);
    }),
  );
}

/** @param setUp sets the backend to test */
export function layersContract(setUp: () => Promise<unknown>): void {
  describe("layers", () => {
    beforeAll(setUp);
    let tensorsBefore: number;
    beforeAll(() => {
      tensorsBefore = tf.memory().numTensors;
    });
    afterAll(() => {
      expect(tf.memory().numTensors).toBe(tensorsBefore);
    });

    it.each(CASES)("have the values and gradients of their definition: %s", (_, each) => {
      const layer = built(each);
      const inputs = each.shapes.map((shape, i) => wave(shape, i));
      const weights = layer.weights.map(({ shape }, i) => wave(shape as number[], 10 + i));
      const tensors = tf.memory().numTensors;
      const { output, shape, grads } = run(layer, each, inputs, weights);
      expect(tf.memory().numTensors).toBe(tensors);
      expect(layer.computeOutputShape(shapeOf(each))).toEqual(shape);
      expectClose(output, each.byDefinition(inputs, weights));
      for (const [i, wanted] of slopes(each, inputs, weights).entries()) expectClose(grads[i]!, wanted);
      for (const weight of layer.weights) weight.dispose();
    });

    it("share the gradient of a maximum among the places that share it", () => {
      const grad = tf.tidy(() => {
        const layer = sequencePooling({ mode: "max" });
        const loss = (x: tf.Tensor) => tf.sum(layer.apply(x) as tf.Tensor);
        return Array.from(
          tf
            .grad(loss)(tf.tensor3d([2, 1, 2, 5, 0, 5], [1, 3, 2]))
            .dataSync(),
        );
      });
      expect(grad).toEqual([0.5, 0, 0.5, 0.5, 0, 0.5]);
    });

    it("weigh scores far from 0 without overflow", () => {
      const pooled = tf.tidy(() => {
        const layer = attentionPooling({ query: "input" });
        const sequence = tf.tensor3d([300, 0, 100, 1, 1e4, 7], [1, 3, 2]);
        const mask = tf.tensor2d([1, 1, 0], [1, 3]);
        return Array.from((layer.apply([sequence, tf.tensor2d([1000, 0], [1, 2])], { mask }) as tf.Tensor).dataSync());
      });
      expect(pooled).toEqual([300, 0]);
    });
  });
}
