import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { ProtocolError } from "../errors.ts";
import type { ReducePiece } from "./all-reduce.ts";
import { RingAllReduce } from "./ring.ts";
import { errorOfSum, exactSum, firstLink, gaussians, picksOf, ringSum, runRound, type Pick } from "./test-ranks.ts";

const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
const sizes = fc.record({
  size: fc.integer({ min: 1, max: 6 }),
  n: fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 5, 127, 128, 129, 509), fc.integer({ min: 0, max: 60 })),
  partFloats: fc.integer({ min: 1, max: 140 }),
});

function piece(fields: Partial<ReducePiece>): ReducePiece {
  const values = new Float32Array(0);
  return { peer: 2, hop: 0, chunk: 1, part: 0, dtype: "float32", values, coded: new Uint8Array(0), ...fields };
}

/** Runs a ring of such values; what each rank then has, and its residual. */
function runRing(
  inputs: readonly Float32Array[],
  o: Partial<ConstructorParameters<typeof RingAllReduce>[0]> & { residuals?: readonly Float32Array[]; pick?: Pick },
): { data: Float32Array[]; residuals: (Float32Array | undefined)[]; sentBytes: number[] } {
  const { residuals, pick = firstLink, ...options } = o;
  const size = inputs.length;
  const data = inputs.map((input) => input.slice());
  const rings = data.map(
    (data, rank) => new RingAllReduce({ ...options, rank, size, data, residual: residuals?.[rank] }),
  );
  const sentBytes = runRound(rings, pick);
  return { data, residuals: rings.map((ring) => ring.residual), sentBytes };
}

describe("RingAllReduce", () => {
  test("rejects a piece that does not fit", () => {
    const ring = new RingAllReduce({ rank: 0, size: 3, data: new Float32Array(9) });
    const values = new Float32Array(3);
    for (const wrong of [
      { chunk: 0, values },
      { hop: 9, values },
      { chunk: 70_000, values },
      { part: 1, values },
      { peer: 1, values },
      { values: new Float32Array(2) },
      { dtype: "int8", coded: new Uint8Array(12) },
    ] as const) {
      expect(() => ring.receive(piece(wrong))).toThrow(ProtocolError);
    }
    expect(ring.receive(piece({ values }))).toHaveLength(1);
  });

  test("ignores a repeated piece", () => {
    const data = Float32Array.of(1, 2);
    const ring = new RingAllReduce({ rank: 0, size: 2, data });
    const first = piece({ peer: 1, chunk: 0, values: Float32Array.of(10) });
    expect(ring.receive(first)).toHaveLength(1);
    expect(ring.receive(first)).toHaveLength(0);
    expect(data[0]).toBe(11);
  });

  test("a ring of one is done at once, with what was lost before", () => {
    const data = Float32Array.of(1);
    const ring = new RingAllReduce({ rank: 0, size: 1, data, dtype: "int8", residual: Float32Array.of(0.5) });
    expect(ring.start()).toEqual([]);
    expect(ring.done).toBe(true);
    expect(data).toEqual(Float32Array.of(1.5));
    expect(ring.residual).toEqual(Float32Array.of(0));
  });

  test("sums in fixed ring order, bit for bit, whatever the timing", () => {
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), fc.infiniteStream(float), (s, picks, floats) => {
        const inputs = Array.from({ length: s.size }, () =>
          Float32Array.from({ length: s.n }, () => floats.next().value),
        );
        const { data } = runRing(inputs, { partFloats: s.partFloats, pick: picksOf(picks) });
        const expected = s.size === 1 ? inputs[0]! : ringSum(inputs);
        for (const result of data) expect(result).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  test("sends 2(N−1)/N of the bytes", () => {
    for (const size of [2, 3, 4, 5]) {
      const n = 60 * size;
      const { sentBytes } = runRing(
        Array.from({ length: size }, () => new Float32Array(n)),
        { partFloats: 7 },
      );
      expect(sentBytes).toEqual(Array.from({ length: size }, () => (2 * (size - 1) * 4 * n) / size));
    }
  });

  test("all ranks have the same bits in fewer bytes, and what is lost is in the residuals", () => {
    const dtype = fc.constantFrom("bfloat16" as const, "int8" as const);
    fc.assert(
      fc.property(sizes, dtype, fc.infiniteStream(fc.nat()), fc.integer(), (s, dtype, picks, seed) => {
        const draw = (salt: number) => Array.from({ length: s.size }, (_, rank) => gaussians(s.n, seed + salt + rank));
        const inputs = draw(0);
        const residuals = draw(100);
        const before = residuals.map((residual) => residual.slice());
        const options = { dtype, partFloats: s.partFloats, residuals };
        const run = runRing(inputs, { ...options, pick: picksOf(picks) });
        for (const result of run.data) expect(result).toEqual(run.data[0]);
        expect(run).toEqual(runRing(inputs, options));
        expect(residuals).toEqual(before);

        const given = [...inputs, ...residuals];
        const kept = exactSum([run.data[0]!, ...(run.residuals as Float32Array[])]);
        expect(errorOfSum(kept, given)).toBeLessThan(2e-6);
        expect(errorOfSum(run.data[0]!, given)).toBeLessThan(0.04);
      }),
      { numRuns: 200 },
    );
  });

  test("without a residual loses the same once", () => {
    const inputs = [1, 2, 3].map((seed) => gaussians(500, seed));
    const zeros = inputs.map(() => new Float32Array(500));
    const { data, residuals } = runRing(inputs, { dtype: "int8" });
    expect(data).toEqual(runRing(inputs, { dtype: "int8", residuals: zeros }).data);
    expect(residuals).toEqual([undefined, undefined, undefined]);
  });

  test("what is not finite is kept by no residual", () => {
    const inputs = [Float32Array.of(Infinity, 1), Float32Array.of(1, 1)];
    const residuals = inputs.map(() => new Float32Array(2));
    for (const dtype of ["bfloat16", "int8"] as const) {
      const run = runRing(inputs, { dtype, residuals });
      expect(run.residuals.flatMap((residual) => [...residual!]).every(Number.isFinite)).toBe(true);
    }
  });

  test("ownDone() replaces the sums of each rank's range, once, and that is gathered as float32", () => {
    const dtype = fc.constantFrom("float32" as const, "bfloat16" as const, "int8" as const);
    fc.assert(
      fc.property(sizes, dtype, fc.infiniteStream(fc.nat()), fc.integer(), (s, dtype, picks, seed) => {
        const inputs = Array.from({ length: s.size }, (_, rank) => gaussians(s.n, seed + rank));
        const summed = new Float32Array(s.n);
        const ownDone = vi.fn((data: Float32Array, from: number, to: number) => {
          summed.set(data.subarray(from, to), from);
          for (let i = from; i < to; i++) data[i] = Math.fround(i + 1 / 3);
        });
        const { data } = runRing(inputs, { dtype, partFloats: s.partFloats, ownDone, pick: picksOf(picks) });
        const ranges = ownDone.mock.calls.map(([, from, to]) => ({ from, to }));
        expect(ranges.toSorted((a, b) => a.from - b.from || a.to - b.to)).toEqual(
          inputs.map((_, rank) => RingAllReduce.ownRange({ rank, size: s.size, length: s.n })),
        );
        if (dtype === "float32") expect(summed).toEqual(s.size === 1 ? inputs[0] : ringSum(inputs));
        else expect(errorOfSum(summed, inputs)).toBeLessThan(0.04);
        const made = Float32Array.from({ length: s.n }, (_, i) => i + 1 / 3);
        for (const result of data) expect(result).toEqual(made);
      }),
      { numRuns: 200 },
    );
  });
});
