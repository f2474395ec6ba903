import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../errors.ts";
import { Doubling } from "./doubling.ts";
import { picksOf, runRound } from "./test-ranks.ts";

const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });

/** The documented order: ranks from P on are added to rank − P, then pairs, then pairs of pairs, in float32. */
function treeSum(inputs: readonly Float32Array[]): Float32Array {
  const P = 2 ** Math.floor(Math.log2(inputs.length));
  const add = (a: Float32Array, b: Float32Array) => a.map((x, i) => x + b[i]!);
  let sums = inputs.slice(0, P);
  for (const [i, input] of inputs.slice(P).entries()) sums[i] = add(sums[i]!, input);
  while (sums.length > 1) sums = sums.flatMap((sum, i) => (i % 2 === 0 ? [add(sum, sums[i + 1]!)] : []));
  return sums[0]!;
}

describe("Doubling", () => {
  test("rejects a piece that does not fit, and ignores a repeated one", () => {
    const data = Float32Array.of(1, 2);
    const rank = new Doubling({ rank: 1, size: 3, data });
    const piece = { hop: 1, chunk: 0, part: 0, dtype: "float32", coded: new Uint8Array(0) } as const;
    const values = Float32Array.of(10, 20);
    expect(() => rank.receive({ ...piece, peer: 2, values })).toThrow(ProtocolError);
    expect(() => rank.receive({ ...piece, peer: 0, hop: 2, values })).toThrow(ProtocolError);
    expect(() => rank.receive({ ...piece, peer: 0, values: new Float32Array(3) })).toThrow(ProtocolError);
    expect(rank.start()).toHaveLength(1);
    rank.receive({ ...piece, peer: 0, values });
    expect(rank.done).toBe(true);
    rank.receive({ ...piece, peer: 0, values });
    expect(data).toEqual(Float32Array.of(11, 22));
  });

  test("sums as a tree, bit for bit, whatever the number of ranks and the timing; nothing is lost", () => {
    const sizes = fc.record({ size: fc.integer({ min: 1, max: 9 }), n: fc.nat(40) });
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), fc.infiniteStream(float), ({ size, n }, picks, floats) => {
        const inputs = Array.from({ length: size }, () => Float32Array.from({ length: n }, () => floats.next().value));
        const data = inputs.map((input) => input.slice());
        const residual = Float32Array.from({ length: n }, () => floats.next().value);
        const ranks = data.map((data, rank) => new Doubling({ rank, size, data, ...(rank === 0 ? { residual } : {}) }));
        runRound(ranks, picksOf(picks));
        const given = [inputs[0]!.map((x, i) => x + residual[i]!), ...inputs.slice(1)];
        for (const result of data) expect(result).toEqual(treeSum(given));
        expect(ranks[0]!.residual).toEqual(new Float32Array(n));
      }),
      { numRuns: 300 },
    );
  });

  test("exchanges() is what a rank must wait for", () => {
    expect([1, 2, 3, 4, 5, 8, 9].map((size) => Doubling.exchanges(size))).toEqual([0, 1, 3, 2, 4, 3, 5]);
  });
});
