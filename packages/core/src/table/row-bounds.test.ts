import { describe, expect, test } from "vitest";
import { adam, cosineDecay, sgd } from "../optimizer/index.ts";
import { ArrayRows } from "./test-rows.ts";
import type { TableSpec } from "./table-spec.ts";
import { pairsOf } from "../partition/test-segment.ts";

const KEY = pairsOf([7]);

/** The row of a key that begins at `weights`, after gradients. */
function after(
  spec: Partial<TableSpec>,
  weights: readonly number[],
  gradients: readonly (readonly number[])[],
): number[] {
  const dim = weights.length;
  const table = {
    id: 1,
    name: "t",
    dim,
    initializer: { kind: "zeros" as const },
    optimizer: sgd({ learningRate: 0.5 }),
    ...spec,
  };
  const rows = new ArrayRows(table, 3);
  rows.setArrays(KEY, 0, 1, Float32Array.from(weights), 0, 0);
  for (const [i, gradient] of gradients.entries()) {
    const pushed = Float32Array.from(gradient);
    rows.updateArrays(KEY, 0, 1, pushed, 0, i + 1);
    expect([...pushed]).toEqual(gradient.map(Math.fround));
  }
  const out = new Float32Array(dim);
  rows.readArrays(KEY, 0, 1, out, 0);
  return [...out];
}

describe("a table's bounds", () => {
  test("l2 adds to the gradient, before it is clipped", () => {
    expect(after({ l2: 0.25 }, [2, -2], [[1, 1]])).toEqual([2 - 0.5 * 1.5, -2 - 0.5 * 0.5]);
    expect(after({ l2: 0.25, clip: { value: 1 } }, [2, -2], [[1, 1]])).toEqual([1.5, -2.25]);
  });

  test("a clip bounds each component, or the length of the row's gradient", () => {
    expect(after({ clip: { value: 1 } }, [0, 0], [[3, -0.5]])).toEqual([-0.5, 0.25]);
    expect(after({ clip: { norm: 2.5 } }, [0, 0], [[3, 4]])).toEqual([-0.75, -1]);
  });

  test("maxNorm shortens a row after its update, and only then", () => {
    expect(after({ maxNorm: 2.5 }, [30, 40], [])).toEqual([30, 40]);
    expect(after({ maxNorm: 2.5 }, [3.5, 4.5], [[1, 1]])).toEqual([1.5, 2]);
  });

  test("that are not reached leave the bits of a table without them", () => {
    const gradients = [
      [0.3, -0.7],
      [1e-3, 0.11],
    ];
    const free = after({ optimizer: adam() }, [0.1, 0.2], gradients);
    expect(after({ optimizer: adam(), maxNorm: 100, clip: { norm: 50, value: 9 } }, [0.1, 0.2], gradients)).toEqual(
      free,
    );
  });
});

test("a row learns at the rate of the step, whichever its own update is", () => {
  const optimizer = sgd({ learningRate: cosineDecay({ initialLearningRate: 1, decaySteps: 2 }) });
  const rows = new ArrayRows({ id: 1, name: "t", dim: 1, initializer: { kind: "zeros" }, optimizer }, 3);
  rows.updateArrays(KEY, 0, 1, Float32Array.of(1), 0, 2);
  const out = new Float32Array(1);
  rows.readArrays(KEY, 0, 1, out, 0);
  expect(out[0]).toBe(-0.5);
});
