import { describe, expect, test } from "vitest";
import type { ClipSpec } from "../../job/index.ts";
import { adam, cosineDecay, sgd, type OptimizerSpec } from "../../optimizer/index.ts";
import { DenseState } from "./dense-state.ts";

/** Two variables, of two floats and of one. */
const variables = [
  { name: "a", shape: [2, 1], trainable: true },
  { name: "b", shape: [], trainable: true },
];

function state({ optimizer = sgd({ learningRate: 1 }), clip }: { optimizer?: OptimizerSpec; clip?: ClipSpec } = {}) {
  const weights = new Float32Array(3);
  return new DenseState({ weights, manifest: { compile: { optimizer, clip }, model: { variables } } });
}

/** The weights after one step from 0 at learning rate 1, negated; the fourth float is no gradient. */
function stepOf(clip: ClipSpec | undefined, gradient: readonly number[]): number[] {
  const dense = state(clip ? { clip } : {});
  const grads = Float32Array.from([...gradient, 1e9]);
  const before = grads.slice();
  dense.update({ grads, step: 1 });
  expect(grads).toEqual(before);
  return [...dense.weights].map((weight) => -weight);
}

describe("a clip", () => {
  test("by value bounds each component", () => {
    expect(stepOf({ value: 2 }, [3, -4, 1])).toEqual([2, -2, 1]);
  });

  test("by norm bounds each variable's own length", () => {
    expect(stepOf({ norm: 2.5 }, [3, 4, 1])).toEqual([1.5, 2, 1]);
  });

  test("by the global norm scales all variables together", () => {
    expect(stepOf({ globalNorm: 6.5 }, [3, 4, 12])).toEqual([1.5, 2, 6]);
  });

  test("that is not reached changes no bit", () => {
    expect(stepOf({ globalNorm: 100 }, [0.1, 0.2, 0.3])).toEqual(stepOf(undefined, [0.1, 0.2, 0.3]));
  });
});

test("dense weights learn at the rate of the step", () => {
  const dense = state({ optimizer: sgd({ learningRate: cosineDecay({ initialLearningRate: 1, decaySteps: 2 }) }) });
  dense.update({ grads: Float32Array.of(1, 1, 1), step: 2 });
  expect([...dense.weights]).toEqual([-0.5, -0.5, -0.5]);
});

test("a joiner that restores a snapshot goes on with the same bits", () => {
  const [first, joiner] = [state({ optimizer: adam() }), state({ optimizer: adam() })];
  first.update({ grads: Float32Array.of(1, 2, 3), step: 1 });
  joiner.restore(first.snapshot());
  for (const each of [first, joiner]) each.update({ grads: Float32Array.of(-1, 0.5, 3), step: 2 });
  expect(joiner.snapshot()).toEqual(first.snapshot());
  expect(() => joiner.restore(new Float32Array(2))).toThrow(/dense state of 2 floats, expected 9/);
});
