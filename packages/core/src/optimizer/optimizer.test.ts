import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  adagrad,
  adam,
  adamw,
  cosineDecay,
  ftrl,
  learningRateAt,
  momentum,
  optimizerOf,
  rowwiseAdagrad,
  sgd,
  type OptimizerSpec,
} from "./index.ts";

/** Runs gradients through a row that lies between two guard floats, and gives the row after each update. */
function run(
  spec: OptimizerSpec,
  weights: readonly number[],
  gradients: readonly (readonly number[])[],
): Float32Array[] {
  const optimizer = optimizerOf(spec);
  const dim = weights.length;
  const width = dim + optimizer.stateWidth(dim);
  const rows = new Float32Array(width + 2).fill(77);
  rows.set(weights, 1);
  optimizer.initState(rows, 1, dim);
  const grads = new Float32Array(dim + 1);
  return gradients.map((gradient, i) => {
    grads.set(gradient, 1);
    optimizer.update(rows, 1, dim, grads, 1, i + 1, learningRateAt(spec, i + 1));
    expect([rows[0], rows[width + 1]]).toEqual([77, 77]);
    expect([...grads.subarray(1)]).toEqual(gradient.map(Math.fround));
    return rows.slice(1, 1 + width);
  });
}

/** The weights of a one-component row after each gradient. */
function weightAfter(spec: OptimizerSpec, weight: number, gradients: readonly number[]): number[] {
  return run(
    spec,
    [weight],
    gradients.map((g) => [g]),
  ).map((row) => row[0]!);
}

describe("by hand", () => {
  test("sgd steps against the gradient", () => {
    expect(weightAfter(sgd({ learningRate: 0.5 }), 1, [0.5])).toEqual([0.75]);
  });

  test("momentum keeps its direction", () => {
    const [first, second] = weightAfter(momentum({ learningRate: 0.1, momentum: 0.9 }), 1, [1, 1]);
    expect(first).toBeCloseTo(0.9, 6);
    expect(second).toBeCloseTo(0.71, 6); // v = 1.9
  });

  test("nesterov looks ahead", () => {
    const [first] = weightAfter(momentum({ learningRate: 0.1, momentum: 0.9, nesterov: true }), 1, [1]);
    expect(first).toBeCloseTo(0.81, 6); // 1 − 0.1 · (1 + 0.9)
  });

  test("adagrad divides by the root of all squares", () => {
    const [first] = weightAfter(adagrad({ learningRate: 0.1, initialAccumulator: 0.1 }), 1, [3]);
    expect(first).toBeCloseTo(1 - 0.3 / Math.sqrt(9.1), 6);
  });

  test("adagrad has its epsilon under the root", () => {
    const [first] = weightAfter(adagrad({ learningRate: 1, initialAccumulator: 0, epsilon: 3 }), 0, [1]);
    expect(first).toBeCloseTo(-0.5, 6);
  });

  test("row-wise adagrad divides all weights by the root of the mean square", () => {
    const [row] = run(rowwiseAdagrad({ learningRate: 0.1 }), [1, 1], [[3, 4]]);
    expect(row![0]).toBeCloseTo(1 - 0.3 / Math.sqrt(12.5), 6);
    expect(row![1]).toBeCloseTo(1 - 0.4 / Math.sqrt(12.5), 6);
    expect(row![2]).toBe(12.5);
    expect(row).toHaveLength(3);
  });

  test("adam steps by the learning rate first and is corrected for its bias", () => {
    const [first, second] = weightAfter(adam({ learningRate: 0.001 }), 1, [5, 0]);
    expect(first).toBeCloseTo(0.999, 6);
    expect(second).toBeCloseTo(0.999 - 0.000670058, 6); // (0.09 / 0.19) / √(0.000999 / 0.001999)
  });

  test("ftrl keeps a weight at 0 until |z| passes l1", () => {
    const spec = ftrl({ learningRate: 0.1, beta: 1, l1: 1 });
    expect(weightAfter(spec, 0, [0.5])).toEqual([0]);
    expect(weightAfter(spec, 0, [2])[0]).toBeCloseTo(-1 / 30, 6); // −(2 − 1) / ((1 + 2) / 0.1)
  });

  test("ftrl does not forget the weight a row starts with", () => {
    for (const weight of [0.25, -0.25]) {
      expect(weightAfter(ftrl({ learningRate: 0.1, l1: 0.5, l2: 0.1 }), weight, [0])[0]).toBeCloseTo(weight, 6);
    }
  });

  test("ftrl with beta = l2 = 0 leaves a weight alone that never had a gradient", () => {
    expect(weightAfter(ftrl({ beta: 0 }), 0.25, [0])).toEqual([0.25]);
  });

  test("a schedule moves the step, not the state", () => {
    const learningRate = cosineDecay({ initialLearningRate: 0.5, decaySteps: 2 });
    expect(weightAfter(sgd({ learningRate }), 1, [1, 1, 1, 1])).toEqual([0.5, 0.25, 0.25, 0.25]);
    const rowsOf = (spec: OptimizerSpec) =>
      run(
        spec,
        [1, 2],
        [
          [3, 4],
          [1, -1],
        ],
      ).map((row) => [...row.subarray(2)]);
    expect(rowsOf(adam({ learningRate }))).toEqual(rowsOf(adam()));
  });

  test("none changes nothing and has no state", () => {
    expect(run({ kind: "none" }, [1, 2], [[3, 4]])).toEqual([Float32Array.of(1, 2)]);
  });
});

/** The same formulas in float64, one weight at a time, as a textbook has them. */
type Textbook = (weights: number[], gradients: number[][]) => number[];

const textbook = {
  sgd: (lr: number): Textbook => perWeight(() => (w, g) => w - lr * g),
  momentum: (lr: number, m: number, nesterov: boolean): Textbook =>
    perWeight(() => {
      let v = 0;
      return (w, g) => {
        v = m * v + g;
        return w - lr * (nesterov ? g + m * v : v);
      };
    }),
  adagrad: (lr: number, n0: number, eps: number): Textbook =>
    perWeight(() => {
      let n = n0;
      return (w, g) => {
        n += g * g;
        return w - (lr * g) / Math.sqrt(n + eps);
      };
    }),
  rowwiseAdagrad:
    (lr: number, n0: number, eps: number): Textbook =>
    (weights, gradients) => {
      let n = n0;
      let now = weights;
      for (const gradient of gradients) {
        n += gradient.reduce((sum, g) => sum + g * g, 0) / gradient.length;
        now = now.map((w, i) => w - (lr * gradient[i]!) / (Math.sqrt(n) + eps));
      }
      return now;
    },
  adam: (lr: number, beta1: number, beta2: number, eps: number): Textbook =>
    perWeight(() => {
      let m = 0;
      let v = 0;
      let t = 0;
      return (w, g) => {
        t += 1;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        return w - (lr * (m / (1 - beta1 ** t))) / (Math.sqrt(v / (1 - beta2 ** t)) + eps);
      };
    }),
  adamw: (lr: number, beta1: number, beta2: number, eps: number, decay: number): Textbook =>
    perWeight(() => {
      let m = 0;
      let v = 0;
      let t = 0;
      return (w, g) => {
        t += 1;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        return w - lr * decay * w - (lr * (m / (1 - beta1 ** t))) / (Math.sqrt(v / (1 - beta2 ** t)) + eps);
      };
    }),
  ftrl: (alpha: number, beta: number, l1: number, l2: number): Textbook =>
    perWeight(() => {
      let z = 0;
      let n = 0;
      return (w, g) => {
        const sigma = (Math.sqrt(n + g * g) - Math.sqrt(n)) / alpha;
        z += g - sigma * w;
        n += g * g;
        return Math.abs(z) <= l1 ? 0 : -(z - Math.sign(z) * l1) / ((beta + Math.sqrt(n)) / alpha + l2);
      };
    }),
};

function perWeight(open: () => (w: number, g: number) => number): Textbook {
  return (weights, gradients) =>
    weights.map((weight, i) => {
      const step = open();
      return gradients.reduce((w, gradient) => step(w, gradient[i]!), weight);
    });
}

const pairs: [string, OptimizerSpec, Textbook][] = [
  ["sgd", sgd({ learningRate: 0.1 }), textbook.sgd(0.1)],
  ["momentum", momentum({ learningRate: 0.05 }), textbook.momentum(0.05, 0.9, false)],
  ["nesterov", momentum({ learningRate: 0.05, nesterov: true }), textbook.momentum(0.05, 0.9, true)],
  ["adagrad", adagrad({ learningRate: 0.1 }), textbook.adagrad(0.1, 0.1, 1e-7)],
  ["rowwise-adagrad", rowwiseAdagrad({ initialAccumulator: 0.1 }), textbook.rowwiseAdagrad(0.01, 0.1, 1e-8)],
  ["adam", adam({ learningRate: 0.01, epsilon: 1e-4 }), textbook.adam(0.01, 0.9, 0.999, 1e-4)],
  [
    "adamw",
    adamw({ learningRate: 0.01, epsilon: 1e-4, weightDecay: 0.1 }),
    textbook.adamw(0.01, 0.9, 0.999, 1e-4, 0.1),
  ],
  ["ftrl", ftrl({ l1: 0.01, l2: 0.1 }), textbook.ftrl(0.05, 1, 0.01, 0.1)],
];

describe("against the textbook formula in float64", () => {
  const component = fc.double({ min: -2, max: 2, noNaN: true }).map((x) => (Math.abs(x) < 1e-3 ? 0 : Math.fround(x)));
  const histories = fc
    .integer({ min: 1, max: 9 })
    .chain((dim) => fc.array(fc.array(component, { minLength: dim, maxLength: dim }), { minLength: 1, maxLength: 40 }));

  test.each(pairs)("%s agrees up to float32 rounding", (_, spec, formula) => {
    fc.assert(
      fc.property(histories, (gradients) => {
        const weights = gradients[0]!.map((__, i) => (spec.kind === "ftrl" ? 0 : Math.fround(0.1 * i - 0.2)));
        const rows = run(spec, weights, gradients);
        const expected = formula(weights, gradients);
        for (const [i, w] of expected.entries()) {
          expect(Math.abs(rows.at(-1)![i]! - w)).toBeLessThan(2e-5 * Math.max(1, Math.abs(w)));
        }
      }),
      { numRuns: 60 },
    );
  });
});

test("adam is corrected by the row's own updates, also beyond the table of powers", () => {
  const spec = adam({ learningRate: 1, beta1: 0, beta2: 0.9999, epsilon: 1e-7 });
  for (const updates of [1, 63, 64, 65, 1000, 65_536, 65_537, 1_000_000]) {
    const row = new Float32Array(3);
    optimizerOf(spec).update(row, 0, 1, Float32Array.of(1), 0, updates, learningRateAt(spec, 1));
    expect(row[0]).toBeCloseTo(-Math.sqrt((1 - 0.9999 ** updates) / 1e-4), updates > 100 ? 1 : 2);
  }
});

test("the same spec object gives the same optimizer", () => {
  const spec = adam();
  expect(optimizerOf(spec)).toBe(optimizerOf(spec));
});
