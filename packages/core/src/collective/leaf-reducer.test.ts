import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LeafReducer, type LeafEffect } from "./leaf-reducer.ts";

const share = (slot: number, x: number, samples = 10) => ({ slot, sum: Float32Array.of(x, 2 * x), samples });

describe("LeafReducer", () => {
  test("rejects a share of another slot, of another length, or of no number of samples", () => {
    const reducer = new LeafReducer({ slots: [3, 4], n: 2 });
    expect(() => reducer.take(share(5, 1))).toThrow(ProtocolError);
    expect(() => reducer.take({ slot: 3, sum: new Float32Array(3), samples: 1 })).toThrow(ProtocolError);
    for (const samples of [-1, 0.5, Number.NaN])
      expect(() => reducer.take(share(3, 1, samples))).toThrow(ProtocolError);
  });

  test("sums in the order of slots, bit for bit, whatever order they come in", () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(float, fc.nat(100), fc.nat()), { minLength: 1, maxLength: 12 }), (leaves) => {
        const reducer = new LeafReducer({ slots: [...leaves.keys()], n: 2 });
        const order = [...leaves.keys()].toSorted((a, b) => leaves[a]![2] - leaves[b]![2]);
        const effects = order.flatMap((slot) => reducer.take(share(slot, leaves[slot]![0], leaves[slot]![1])));
        const first = share(0, leaves[0]![0]).sum;
        const sum = leaves.slice(1).reduce((sum, [x]) => sum.map((s, i) => s + share(0, x).sum[i]!), first);
        const samples = leaves.reduce((all, leaf) => all + leaf[1], 0);
        expect(effects).toEqual([{ kind: "contribute", accepted: [...leaves.keys()], sum, samples }]);
      }),
    );
  });

  test("leaves a lost leaf out, and waits for it no longer", () => {
    const reducer = new LeafReducer({ slots: [0, 1, 2], n: 2 });
    expect(reducer.take(share(2, 1))).toEqual([]);
    expect(reducer.lose(1)).toEqual([]);
    expect(reducer.take(share(0, 5))).toEqual([
      { kind: "contribute", accepted: [0, 2], sum: Float32Array.of(6, 12), samples: 20 },
    ]);
    const result = Float32Array.of(7, 8);
    expect(reducer.reduced(result)).toEqual([
      { kind: "deliver", slot: 0, result },
      { kind: "deliver", slot: 2, result },
    ]);
    expect(reducer.reduced(result)).toEqual([]);
  });

  test("what a leaf brought counts even if it is lost after that; it is sent no result", () => {
    const reducer = new LeafReducer({ slots: [0, 1], n: 2 });
    reducer.take(share(0, 1));
    reducer.lose(0);
    expect(reducer.take(share(1, 2))).toEqual([
      { kind: "contribute", accepted: [0, 1], sum: Float32Array.of(3, 6), samples: 20 },
    ]);
    expect(reducer.reduced(new Float32Array(2)).map((effect) => (effect as { slot: number }).slot)).toEqual([1]);
  });

  test("closed, it goes on without those that are late, counts them, and sends them the result", () => {
    const reducer = new LeafReducer({ slots: [0, 1], n: 2 });
    reducer.take(share(1, 2));
    reducer.take(share(1, 99));
    const contribution: LeafEffect = { kind: "contribute", accepted: [1], sum: Float32Array.of(2, 4), samples: 10 };
    expect(reducer.close()).toEqual([contribution]);
    expect(reducer.close()).toEqual([]);
    expect(reducer.take(share(0, 1))).toEqual([]);
    expect(reducer.take(share(1, 2))).toEqual([]);
    expect(reducer.late).toBe(1);
    expect(reducer.reduced(new Float32Array(2))).toHaveLength(2);
  });

  test("without leaves it brings zeros of no samples", () => {
    const reducer = new LeafReducer({ slots: [0], n: 2 });
    expect(reducer.lose(0)).toEqual([{ kind: "contribute", accepted: [], sum: new Float32Array(2), samples: 0 }]);
  });
});
