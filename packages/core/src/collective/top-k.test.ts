import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../errors.ts";
import { exactSum, gaussians, picksOf, relativeError, runRound } from "./test-ranks.ts";
import { countOfShare, TopKAllReduce } from "./top-k.ts";

/** A copy in which only the `k` greatest |values| are left; of equal ones the first. */
function greatestOnly(values: Float32Array, k: number): Float32Array {
  const order = [...values.keys()].toSorted((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b);
  const out = new Float32Array(values.length);
  for (const i of order.slice(0, k)) out[i] = values[i]!;
  return out;
}

describe("TopKAllReduce", () => {
  test("rejects a piece that does not fit, and ignores a repeated one", () => {
    const rank = new TopKAllReduce({ rank: 0, size: 3, data: Float32Array.of(1, 2, 3, 4), share: 0.5 });
    const pairs = (places: number[], values: number[]) =>
      new Float32Array(Uint32Array.of(...places, ...new Uint32Array(Float32Array.from(values).buffer)).buffer);
    const piece = { peer: 2, hop: 0, chunk: 2, part: 0, dtype: "float32", coded: new Uint8Array(0) } as const;
    const values = pairs([0, 2], [5, 6]);
    for (const wrong of [
      { peer: 1 },
      { hop: 2 },
      { chunk: 1 },
      { part: 1 },
      { values: pairs([2, 0], [5, 6]) },
      { values: pairs([1, 1], [5, 6]) },
      { values: pairs([1, 4], [5, 6]) },
      { values: pairs([1], [5]) },
    ]) {
      expect(() => rank.receive({ ...piece, values, ...wrong })).toThrow(ProtocolError);
    }
    expect(rank.receive({ ...piece, values })).toHaveLength(1);
    expect(rank.receive({ ...piece, values })).toHaveLength(0);
    expect(rank.done).toBe(false);
  });

  test("sums the greatest of each rank in the order of ranks, bit for bit; the others are the residual", () => {
    const sizes = fc.record({
      size: fc.integer({ min: 1, max: 6 }),
      n: fc.oneof(fc.constantFrom(0, 1, 2, 127, 509), fc.nat(60)),
      share: fc.double({ min: 0.001, max: 0.999, noNaN: true }),
    });
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), fc.integer(), ({ size, n, share }, picks, seed) => {
        const inputs = Array.from({ length: size }, (_, rank) => gaussians(n, seed + rank));
        const residuals = Array.from({ length: size }, (_, rank) => gaussians(n, seed + 100 + rank));
        const before = residuals.map((residual) => residual.slice());
        const data = inputs.map((input) => input.slice());
        const ranks = data.map(
          (data, rank) => new TopKAllReduce({ rank, size, data, share, residual: residuals[rank] }),
        );
        runRound(ranks, picksOf(picks));
        expect(residuals).toEqual(before);

        const given = inputs.map((input, rank) => input.map((x, i) => x + before[rank]![i]!));
        const sent = given.map((values) => greatestOnly(values, countOfShare(share, n)));
        const sum = new Float32Array(n);
        for (const values of sent) for (let i = 0; i < n; i++) sum[i]! += values[i]!;
        for (const result of data) expect(result).toEqual(sum);
        for (const [rank, { residual }] of ranks.entries()) {
          expect(residual).toEqual(given[rank]!.map((x, i) => (sent[rank]![i] === 0 ? x : 0)));
        }
      }),
      { numRuns: 200 },
    );
  });

  test("cuts long lists into parts", () => {
    const n = 400_000;
    const inputs = [gaussians(n, 1), gaussians(n, 2)];
    const data = inputs.map((input) => input.slice());
    const ranks = data.map((data, rank) => new TopKAllReduce({ rank, size: 2, data, share: 0.5 }));
    expect(ranks[0]!.start().length).toBeGreaterThan(1);
    runRound(ranks);
    expect(data[0]).toEqual(data[1]);
    expect(relativeError(data[0]!, exactSum(inputs))).toBeLessThan(0.3);
  });
});
