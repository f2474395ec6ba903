import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { optimizerOf, type OptimizerSpec } from "../optimizer/index.ts";
import { ROW_HEADER_BYTES, rowLayout, UPDATES_AT } from "../table/row-layout.ts";
import { RowMemory } from "./oracle/row-memory.ts";

const memory = new RowMemory(256);
const { kernels } = memory;
beforeEach(() => memory.clear());

interface Batch {
  rows: number;
  n: number;
  dim: number;
  grads: number;
  rate: number;
}

/** Calls the kernel of a spec. */
function update(spec: OptimizerSpec, { rows, n, dim, grads, rate }: Batch): void {
  switch (spec.kind) {
    case "sgd":
      return kernels.updateSgd(rows, n, dim, grads, rate);
    case "momentum":
      return kernels.updateMomentum(rows, n, dim, grads, rate, spec.momentum, Number(spec.nesterov));
    case "adagrad":
      return kernels.updateAdagrad(rows, n, dim, grads, rate, spec.epsilon);
    case "rowwise-adagrad":
      return kernels.updateRowwiseAdagrad(rows, n, dim, grads, rate, spec.epsilon);
    case "adam":
    case "adamw": {
      const { beta1, beta2, epsilon } = spec;
      const first = memory.take(4 * 65_536);
      const second = memory.take(4 * 65_536);
      const length1 = kernels.adamCorrections(beta1, first, 65_536);
      const length2 = kernels.adamCorrections(beta2, second, 65_536);
      const decay = spec.kind === "adamw" ? spec.weightDecay : 0;
      const rests = [1 - beta1, 1 - beta2] as const;
      const tables = [first, length1, second, length2] as const;
      return kernels.updateAdam(rows, n, dim, grads, rate, beta1, beta2, ...rests, epsilon, decay, ...tables);
    }
    case "ftrl":
      return kernels.updateFtrl(rows, n, dim, grads, rate, spec.beta, spec.l1, spec.l2);
    default:
      throw new RangeError(`${spec.kind} has no kernel`);
  }
}

const specs: [string, OptimizerSpec][] = [
  ["sgd", { kind: "sgd", learningRate: 0.1 }],
  ["momentum", { kind: "momentum", learningRate: 0.1, momentum: 0.9, nesterov: false }],
  ["nesterov", { kind: "momentum", learningRate: 0.01, momentum: 0.7, nesterov: true }],
  ["adagrad", { kind: "adagrad", learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-7 }],
  ["rowwise-adagrad", { kind: "rowwise-adagrad", learningRate: 0.05, initialAccumulator: 0, epsilon: 1e-8 }],
  ["adam", { kind: "adam", learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }],
  ["adam of slow moments", { kind: "adam", learningRate: 0.001, beta1: 0.999, beta2: 0.99999, epsilon: 1e-7 }],
  ["adamw", { kind: "adamw", learningRate: 0.01, beta1: 0.8, beta2: 0.99, epsilon: 1e-5, weightDecay: 0.1 }],
  ["ftrl", { kind: "ftrl", learningRate: 0.1, beta: 1, l1: 0.05, l2: 0.01 }],
  ["ftrl of beta 0", { kind: "ftrl", learningRate: 0.5, beta: 0, l1: 0, l2: 0 }],
];

const COUNTS = [1, 2, 3, 50, 64, 1000, 65_535, 65_536, 65_537, 200_000, 0xffff_ffff];

/** Rows at distances of their stride and a pseudo-random few bytes more, all the memory between them garbage. */
function open(spec: OptimizerSpec, { n, dim, seed }: { n: number; dim: number; seed: number }) {
  const optimizer = optimizerOf(spec);
  const layout = rowLayout({ dtype: "float32", dim, stateWidth: optimizer.stateWidth(dim) });
  const values = valuesOf(seed);
  const from = memory.take(n * (layout.stride + 16) + 64);
  const addresses = Array.from({ length: n }, (_, i) => from + i * layout.stride + 8 * (i >> 1));
  for (const [i, row] of addresses.entries()) {
    const weights = (row + ROW_HEADER_BYTES) / 4;
    for (let k = 0; k < dim; k++) memory.floats[weights + k] = values(1);
    optimizer.initState(memory.floats, weights, dim);
    memory.words[(row + UPDATES_AT) / 4] = COUNTS[i % COUNTS.length]!;
  }
  const words = (n * (layout.stride + 16) + 64) / 4;
  return { optimizer, values, addresses, before: () => memory.wordsAt(from, words), from, words };
}

/** Pseudo-random floats of many magnitudes, zeros among them. */
function valuesOf(seed: number): (scale: number) => number {
  let x = seed | 1;
  return (scale) => {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    const unit = (x >> 8) / 2 ** 23;
    const magnitude = [1, 1, 1e-3, 1e-12, 1e-30, 0][(x >>> 3) % 6]!;
    return Math.fround(unit * scale * magnitude);
  };
}

const shape = fc.record({
  n: fc.oneof(fc.nat(5), fc.nat(300)),
  dim: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 130 })),
  seed: fc.nat(),
});

describe.each(specs)("%s", (_, spec) => {
  test("changes rows as the optimizer does, to the bit, and nothing beside them", () => {
    fc.assert(
      fc.property(shape, ({ n, dim, seed }) => {
        memory.clear();
        const { optimizer, values, addresses, from, words } = open(spec, { n, dim, seed });
        const expected = memory.wordsAt(from, words).slice();
        const floats = new Float32Array(expected.buffer);
        const rows = memory.takeWords(addresses.map((row, i) => row | (i % 3 === 0 ? 1 : 0)));
        for (const scale of [1, 100, 1e-4]) {
          const grads = Float32Array.from({ length: n * dim }, () => values(scale));
          const rate = Math.fround(spec.kind === "ftrl" ? spec.learningRate : 0.1 * scale);
          for (const [i, row] of addresses.entries()) {
            const at = (row - from) / 4;
            const weights = at + ROW_HEADER_BYTES / 4;
            optimizer.update(floats, weights, dim, grads, i * dim, expected[at + UPDATES_AT / 4]!, rate);
          }
          update(spec, { rows, n, dim, grads: memory.takeFloats(grads), rate });
        }
        const got = memory.wordsAt(from, words);
        const odd = got.findIndex((word, i) => word !== expected[i]);
        if (odd >= 0) expect.fail(`word ${odd} of ${n} rows of ${dim}: ${got[odd]} for ${expected[odd]}`);
      }),
      { numRuns: 60 },
    );
  });
});

test("adamCorrections() ends at 1, or where there are enough", () => {
  const out = memory.take(4 * 65_536);
  expect(kernels.adamCorrections(0.5, out, 65_536)).toBe(25);
  expect([...memory.floatsAt(out, 3)]).toEqual([0.5, 0.75, 0.875]);
  expect(memory.floatsAt(out, 25)[24]).toBe(1);
  expect(kernels.adamCorrections(0.99999, out, 65_536)).toBe(65_536);
});
