import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussians } from "../../collective/test-ranks.ts";
import { RowClip, type RowPart } from "./row-clip.ts";

const WIDTHS = [4, 8];
const E = 12;
const GLOBAL = { globalSamples: 256 };

function rowPart(seed: number, { samples = 32, times = 1, trusted = false } = {}): RowPart {
  return { rowGrads: gaussians(samples * E, seed).map((value) => value * times), samples, trusted };
}

const lengthOf = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));

describe("RowClip", () => {
  test("rejects a part that is not [b, E], and says which", () => {
    const clip = new RowClip({ widths: WIDTHS });
    const parts = [rowPart(1), { ...rowPart(2), samples: 31 }];
    expect(() => clip.clip(parts, GLOBAL)).toThrow("part 1 has 384 floats of rows; its 31 samples have 372");
  });

  test("honest parts stay as they are beside the reducer's own, bit for bit, whatever their sizes and steps'", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.integer({ min: 32, max: 200 }), sizes, fc.nat(9999), (own, others, seed) => {
        const clip = new RowClip({ widths: WIDTHS });
        for (const globalSamples of [256, 16, 1024]) {
          const parts = [own, ...others].map((samples, i) =>
            rowPart(seed + i, { samples, times: 1 / globalSamples, trusted: i === 0 }),
          );
          const given = parts.map(({ rowGrads }) => rowGrads.slice());
          expect(clip.clip(parts, { globalSamples })).toEqual(parts.map(() => 0));
          expect(parts.map(({ rowGrads }) => rowGrads)).toEqual(given);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("a rare label's gradient, twenty times as long as most, stays as it is", () => {
    const clip = new RowClip({ widths: [1] });
    const parts = [0, 1, 2].map((p) => ({
      rowGrads: Float32Array.from({ length: 50 }, (_, b) => (b === p * 7 || (p === 1 && b % 20 === 0) ? 20 : 1)),
      samples: 50,
      trusted: false,
    }));
    expect(clip.clip(parts, GLOBAL)).toEqual([0, 0, 0]);
  });

  test("whatever a minority sends, each of its gradients, and all together, are about as long as others'", () => {
    const lies = fc.array(fc.constantFrom(10, -10, 1e6, 1e18), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(lies, fc.nat(9999), (liars, seed) => {
        const clip = new RowClip({ widths: WIDTHS });
        const honest = [1, 2, 3, 4].map((i) => rowPart(seed + i));
        const parts = [...liars.map((times, i) => rowPart(seed + 10 + i, { times })), ...honest];
        const clipped = clip.clip(parts, GLOBAL);
        expect(clipped).toEqual(parts.map((_, i) => (i < liars.length ? 64 : 0)));
        const longest = Math.max(...honest.map(({ rowGrads }) => lengthOf(rowGrads)));
        for (const { rowGrads } of parts.slice(0, liars.length)) {
          expect(rowGrads.every(Number.isFinite)).toBe(true);
          expect(lengthOf(rowGrads)).toBeLessThan(2.5 * longest);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("one gradient that is too long does not shorten the others of its part", () => {
    const clip = new RowClip({ widths: WIDTHS });
    const parts = [1, 2, 3].map((seed) => rowPart(seed));
    parts[0]!.rowGrads.fill(1e6, 5 * E, 5 * E + 4);
    const given = parts[0]!.rowGrads.slice();
    expect(clip.clip(parts, GLOBAL)).toEqual([1, 0, 0]);
    const changed = [...given.keys()].filter((i) => given[i] !== parts[0]!.rowGrads[i]);
    expect(changed).toEqual([60, 61, 62, 63]);
    expect(lengthOf(parts[0]!.rowGrads.subarray(60, 64))).toBeLessThan(4.001 * 12);
  });

  test("what is trusted is not shortened, and is the measure of a lone volunteer", () => {
    const clip = new RowClip({ widths: WIDTHS });
    expect(clip.clip([rowPart(1, { times: 100, trusted: true }), rowPart(2)], GLOBAL)).toEqual([0, 0]);
    const fresh = new RowClip({ widths: WIDTHS });
    expect(fresh.clip([rowPart(1, { times: 100 }), rowPart(2, { trusted: true })], GLOBAL)).toEqual([64, 0]);
  });

  test("gradients of 0, as of lists that are empty, are neither shortened nor counted", () => {
    const clip = new RowClip({ widths: WIDTHS });
    const zeros = { rowGrads: new Float32Array(32 * E), samples: 32, trusted: false };
    expect(clip.clip([zeros, rowPart(1), rowPart(2)], GLOBAL)).toEqual([0, 0, 0]);
    expect(clip.clip([zeros], GLOBAL)).toEqual([0]);
  });
});
