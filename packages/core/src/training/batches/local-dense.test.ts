import { expect, test } from "vitest";
import { average, nesterov, type OuterSpec } from "../../consistency/index.ts";
import { ProtocolError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import { LocalDense } from "./local-dense.ts";

const manifest = {
  compile: { optimizer: { kind: "sgd", learningRate: 0.5 }, loss: "meanSquaredError", metrics: [] },
  model: { embeddings: [], numbers: [], outputs: 1, variables: [{ name: "w", shape: [2], trainable: true }] },
  fit: { batchSize: 8 },
} as unknown as JobManifest;

function worker(outer: OuterSpec = average(), weights = [1, 2], { compile = manifest.compile } = {}) {
  const seen: number[][] = [];
  const model = {
    denseFloats: 2,
    setDense: (flat: Float32Array) => void seen.push([...flat]),
    step: () => Promise.reject(new Error("not asked for")),
    predict: () => Promise.reject(new Error("not asked for")),
    dispose: () => {},
  };
  return {
    seen,
    dense: new LocalDense({ manifest: { ...manifest, compile }, model, outer, weights: Float32Array.from(weights) }),
  };
}

test("a local step is of the mean over the batch's own samples", () => {
  const { dense, seen } = worker();
  dense.begin();
  dense.end(Float32Array.of(1, -1), { samples: 2, step: 1 }); // of 8 samples, so four times as much
  dense.begin();
  dense.begin();
  expect(seen).toEqual([
    [1, 2],
    [-1, 4],
  ]);
  expect([...dense.weights]).toEqual([1, 2]);
});

test("a schedule goes by the job's steps, also for who came late; a batch without samples is no step", () => {
  const optimizer = {
    ...manifest.compile.optimizer,
    schedule: { kind: "exponential", steps: 10, rate: 0.5, staircase: true, warmupSteps: 0 },
  };
  const compile = { ...manifest.compile, optimizer } as JobManifest["compile"];
  const { dense, seen } = worker(average(), [1, 2], { compile });
  dense.end(Float32Array.of(0, 0), { samples: 0, step: 11 });
  dense.end(Float32Array.of(1, -1), { samples: 8, step: 11 });
  dense.begin();
  expect(seen).toEqual([[0.75, 2.25]]); // half of 0.5
});

test("members go on from the mean of their weights", () => {
  const [a, b] = [worker(), worker()];
  a.dense.end(Float32Array.of(1, 0), { samples: 8, step: 1 });
  b.dense.end(Float32Array.of(0, 3), { samples: 8, step: 1 });
  const changes = [a, b].map(({ dense }) => dense.change({ round: 1, share: 0.5 }));
  const mean = Float32Array.from(changes[0]!, (each, i) => each + changes[1]![i]!);
  for (const { dense, seen } of [a, b]) {
    dense.commit({ round: 1, mean });
    dense.begin();
    expect(seen.at(-1)).toEqual([0.75, 1.25]);
    expect(dense.round).toBe(1);
  }
});

test("a round that is called again finds the same change", () => {
  const { dense } = worker();
  dense.end(Float32Array.of(1, 0), { samples: 8, step: 1 });
  const first = dense.change({ round: 1, share: 0.5 });
  first.fill(9); // an all-reduce that was abandoned works in place
  expect([...dense.change({ round: 1, share: 1 })]).toEqual([-0.5, 0]);
});

test("Nesterov's momentum is SGD's in PyTorch, with the mean change as the gradient", () => {
  const { dense } = worker(nesterov(0.5, 0.5), [0, 0]);
  dense.commit({ round: 1, mean: Float32Array.of(1, -2) });
  expect([...dense.weights]).toEqual([0.75, -1.5]); // v = 1; 0.5 · (1 + 0.5 · 1)
  dense.commit({ round: 2, mean: Float32Array.of(1, 0) });
  expect([...dense.weights]).toEqual([0.75 + 0.5 * (1 + 0.75), -1.5 + 0.5 * (0.5 * -1)]);
});

test("who missed rounds brings nothing, applies nothing, and goes on from another's state", () => {
  const [old, young] = [worker(nesterov(0.7, 0.9)), worker(nesterov(0.7, 0.9))];
  for (const round of [1, 2]) old.dense.commit({ round, mean: Float32Array.of(0.1, 0.2) });
  young.dense.end(Float32Array.of(1, 1), { samples: 8, step: 1 });
  expect([...young.dense.change({ round: 3, share: 0.5 })]).toEqual([0, 0]);
  young.dense.commit({ round: 3, mean: Float32Array.of(5, 5) });
  expect(young.dense.round).toBe(0);

  const snapshot = old.dense.snapshot();
  young.dense.restore({ round: 2, snapshot });
  for (const { dense } of [old, young]) dense.commit({ round: 3, mean: Float32Array.of(0.3, -0.3) });
  expect(young.dense.weights).toEqual(old.dense.weights);

  young.dense.restore({ round: 2, snapshot });
  expect(young.dense.round).toBe(3);

  expect(() => young.dense.restore({ round: 4, snapshot: snapshot.subarray(1) })).toThrow(ProtocolError);
  expect(young.dense.round).toBe(3);
});
