import { describe, expect, it } from "vitest";
import type { Batch } from "./spec/dataset.ts";
import { weighingSamples } from "./weighing-samples.ts";

function batchOf(weight: Float32Array | undefined): Batch {
  return {
    samples: 3,
    keys: new Map([["a", Uint32Array.of(1, 0, 2, 0, 3, 9)]]),
    keyLists: new Map([
      ["b", { offsets: Uint32Array.of(0, 2, 2, 3), keys: Uint32Array.of(10, 0, 11, 0, 12, 7) }],
      ["empty", { offsets: new Uint32Array(4), keys: new Uint32Array(0) }],
    ]),
    numbers: new Map([["c", Float32Array.of(1, 2, 3, 4, 5, 6)]]),
    numberLists: new Map([["d", { offsets: Uint32Array.of(0, 1, 3, 3), values: Float32Array.of(7, 8, 9) }]]),
    label: Float32Array.of(0, 1, 0),
    weight,
    group: Uint32Array.of(5, 0, 6, 0, 7, 0),
  };
}

describe("weighingSamples", () => {
  it("gives the batch itself where every sample weighs something", () => {
    for (const weight of [undefined, Float32Array.of(1, 0.5, 2)]) {
      const batch = batchOf(weight);
      expect(weighingSamples(batch)).toBe(batch);
    }
  });

  it("leaves samples of weight 0 out of every part", () => {
    expect(weighingSamples(batchOf(Float32Array.of(0, 0.5, 2)))).toEqual({
      samples: 2,
      keys: new Map([["a", Uint32Array.of(2, 0, 3, 9)]]),
      keyLists: new Map([
        ["b", { offsets: Uint32Array.of(0, 0, 1), keys: Uint32Array.of(12, 7) }],
        ["empty", { offsets: new Uint32Array(3), keys: new Uint32Array(0) }],
      ]),
      numbers: new Map([["c", Float32Array.of(3, 4, 5, 6)]]),
      numberLists: new Map([["d", { offsets: Uint32Array.of(0, 2, 2), values: Float32Array.of(8, 9) }]]),
      label: Float32Array.of(1, 0),
      weight: Float32Array.of(0.5, 2),
      group: Uint32Array.of(6, 0, 7, 0),
    });
  });

  it("may leave nothing", () => {
    const { samples, keys, label } = weighingSamples(batchOf(new Float32Array(3)));
    expect([samples, keys.get("a")!.length, label.length]).toEqual([0, 0, 0]);
  });
});
