import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussians } from "../test-ranks.ts";
import { COMBINE_RULES, Combiner, type CombineRule, type Part } from "./combine.ts";

const GLOBAL = { globalSamples: 1024 };

const scaled = (values: Float32Array, factor: number): Float32Array => values.map((value) => value * factor);
const part = (dense: Float32Array, { samples = 16, trusted = false } = {}): Part => ({ dense, samples, trusted });

/** Gradients of honest parts of equal data: the same signal for each sample, and noise of unit variance a sample. */
function honestParts(k: number, { n, seed, signal }: { n: number; seed: number; signal: Float32Array }): Part[] {
  return Array.from({ length: k }, (_, i) => {
    const samples = 8 * (1 + (i % 4));
    const noise = gaussians(n, seed * 1000 + i);
    return part(
      signal.map((value, d) => samples * value + Math.sqrt(samples) * noise[d]!),
      { samples },
    );
  });
}

function inOrder(parts: readonly Part[]): Float32Array {
  const sum = parts[0]!.dense.slice();
  for (const { dense } of parts.slice(1)) for (let i = 0; i < sum.length; i++) sum[i]! += dense[i]!;
  return sum;
}

function lengthOf(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));
}

const minus = (a: Float32Array, b: Float32Array): number[] => Array.from(a, (value, i) => value - b[i]!);

describe("Combiner", () => {
  test.each(COMBINE_RULES)("%s rejects a part of another length, and says which", (rule) => {
    const combiner = new Combiner({ rule, n: 3 });
    const parts = [part(Float32Array.of(1, 2, 3)), part(Float32Array.of(1, 2))];
    expect(() => combiner.combine(parts, GLOBAL)).toThrow("part 1 has 2 floats; this combiner takes 3");
  });

  test.each(COMBINE_RULES)("%s takes parts without samples for nothing, and no parts for 0", (rule) => {
    const combiner = new Combiner({ rule, n: 2 });
    const none = part(Float32Array.of(7, 7), { samples: 0 });
    expect(combiner.combine([], GLOBAL)).toEqual({ sum: new Float32Array(2), clipped: [] });
    expect(combiner.combine([none], GLOBAL)).toEqual({ sum: new Float32Array(2), clipped: [false] });
    const some = part(Float32Array.of(2, 4), { samples: 3 });
    expect(combiner.combine([none, some], GLOBAL)).toEqual({ sum: some.dense, clipped: [false, false] });
  });

  test("honest parts are added as they are, bit for bit, step after step", () => {
    const shapes = fc.record({
      k: fc.integer({ min: 1, max: 9 }),
      n: fc.integer({ min: 200, max: 600 }),
      seed: fc.nat(9999),
    });
    fc.assert(
      fc.property(shapes, ({ k, n, seed }) => {
        const combiners = (["mean", "centered-clip"] as const).map((rule) => new Combiner({ rule, n }));
        const signal = scaled(gaussians(n, seed), 0.2);
        for (let step = 1; step <= 3; step++) {
          const parts = honestParts(k, { n, seed: seed + step, signal });
          const given = parts.map(({ dense }) => dense.slice());
          for (const combiner of combiners) {
            const { sum, clipped } = combiner.combine(parts, GLOBAL);
            expect(sum).toEqual(inOrder(parts));
            expect(clipped).toEqual(parts.map(() => false));
          }
          expect(parts.map(({ dense }) => dense)).toEqual(given);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("centered-clip: a minority moves the sum by no more than the honest ones' distances allow", () => {
    const cases = fc.record({
      honest: fc.integer({ min: 2, max: 6 }),
      lies: fc.array(fc.constantFrom(-1, -10, 1e6, -1e30, 0), { minLength: 1, maxLength: 3 }),
      seed: fc.nat(9999),
    });
    fc.assert(
      fc.property(cases, ({ honest, lies, seed }) => {
        const n = 300;
        const [liars, combiner] = [lies.slice(0, honest - 1), new Combiner({ rule: "centered-clip", n })];
        const truth = gaussians(n, seed);
        // All honest ones bring the same: none of them is moved, so the difference is the liars'.
        const parts = [
          ...liars.map((times) => part(scaled(truth, times))),
          ...Array.from({ length: honest }, () => part(truth)),
        ];
        const { sum, clipped } = combiner.combine(parts, GLOBAL);
        const moved = minus(sum, scaled(truth, honest));
        // At first the centre is 0, so an honest one's distance is its length; 2 of them is the radius.
        expect(lengthOf(moved)).toBeLessThanOrEqual(2.001 * liars.length * lengthOf(truth));
        expect(clipped).toEqual(parts.map((_, i) => i < liars.length && Math.abs(liars[i]!) > 2));
      }),
      { numRuns: 60 },
    );
  });

  test("centered-clip: a few honest samples with a rare one among them stay as they are beside many", () => {
    const n = 300;
    const combiner = new Combiner({ rule: "centered-clip", n });
    for (let step = 0; step < 20; step++) {
      const many = part(scaled(gaussians(n, step), Math.sqrt(992)), { samples: 992, trusted: true });
      const few = [1, 2].map((leaf) => {
        const rare = leaf === 1 && step % 4 === 3 ? 6 : 1;
        return part(scaled(gaussians(n, 100 * leaf + step), rare * Math.sqrt(16)), { samples: 16 });
      });
      expect(combiner.combine([many, ...few], GLOBAL).clipped).toEqual([false, false, false]);
    }
  });

  test("centered-clip: what was combined before tells a flipped sign from an honest gradient", () => {
    const n = 400;
    const signal = scaled(gaussians(n, 1), 3);
    const combiner = new Combiner({ rule: "centered-clip", n });
    combiner.combine(honestParts(7, { n, seed: 2, signal }), GLOBAL);

    const parts = honestParts(7, { n, seed: 3, signal });
    const flipped = parts.map((each, i) => (i < 3 ? { ...each, dense: scaled(each.dense, -1) } : each));
    const { sum, clipped } = combiner.combine(flipped, GLOBAL);
    expect(clipped).toEqual([true, true, true, false, false, false, false]);
    const honest = inOrder(parts);
    expect(lengthOf(minus(sum, honest))).toBeLessThan(0.15 * lengthOf(honest));
    expect(lengthOf(minus(inOrder(flipped), honest))).toBeGreaterThan(0.5 * lengthOf(honest));
  });

  test("centered-clip: what is trusted is never moved, and is the measure of a lone volunteer", () => {
    const truth = gaussians(50, 4);
    const own = part(truth, { trusted: true });
    const combine = (parts: readonly Part[]) => new Combiner({ rule: "centered-clip", n: 50 }).combine(parts, GLOBAL);
    expect(combine([own, part(scaled(truth, -100))]).clipped).toEqual([false, true]);
    expect(combine([part(truth), part(scaled(truth, 100), { trusted: true })]).clipped).toEqual([false, false]);
    expect(combine([part(scaled(truth, 1e30)), own, part(Float32Array.from(truth, () => NaN))]).sum).toSatisfy(
      (sum: Float32Array) => sum.every(Number.isFinite),
    );
  });

  test("centered-clip knows the last step's gradients by what they were divided by", () => {
    const n = 100;
    const signal = gaussians(n, 5);
    const sums = [1, 64].map((divisor) => {
      const combiner = new Combiner({ rule: "centered-clip", n });
      combiner.combine(honestParts(5, { n, seed: 6, signal }), { globalSamples: 1 });
      const [first, ...others] = honestParts(5, { n, seed: 7, signal });
      const parts = [{ ...first!, dense: scaled(first!.dense, -8) }, ...others];
      const divided = parts.map((each) => ({ ...each, dense: scaled(each.dense, 1 / divisor) }));
      const { sum, clipped } = combiner.combine(divided, { globalSamples: divisor });
      expect(clipped).toEqual([true, false, false, false, false]);
      return scaled(sum, divisor);
    });
    expect(lengthOf(minus(sums[0]!, sums[1]!))).toBeLessThan(1e-6 * lengthOf(sums[0]!));
  });

  test("trimmed-mean: each float lies within the honest ones', whatever three of ten bring", () => {
    const lies = fc.array(fc.constantFrom(-1e30, 1e30, -1, 0, 1e5), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(lies, fc.nat(9999), (liars, seed) => {
        const n = 20;
        const honest = Array.from({ length: 7 }, (_, i) => gaussians(n, seed + i));
        const parts = [...liars.map((lie) => new Float32Array(n).fill(lie)), ...honest].map((dense) => part(dense));
        const { sum } = new Combiner({ rule: "trimmed-mean", n }).combine(parts, GLOBAL);
        for (let i = 0; i < n; i++) {
          const values = honest.map((dense) => dense[i]!);
          expect(sum[i]! / 10).toBeGreaterThanOrEqual(Math.min(...values) - 1e-6);
          expect(sum[i]! / 10).toBeLessThanOrEqual(Math.max(...values) + 1e-6);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("trimmed-mean leaves one out on each side of three, and none of two", () => {
    const combine = (values: number[]) =>
      new Combiner({ rule: "trimmed-mean", n: 1 }).combine(
        values.map((value) => part(Float32Array.of(value), { samples: 2 })),
        GLOBAL,
      ).sum[0];
    expect(combine([-1000, 4, 9])).toBe(12);
    expect(combine([3, 5])).toBe(8);
  });

  test.each<[CombineRule, number]>([
    ["mean", -7],
    ["trimmed-mean", 8],
  ])("%s of seven ones and one that says -14 is %f", (rule, want) => {
    const parts = [...Array<number>(7).fill(1), -14].map((value) => part(Float32Array.of(value), { samples: 1 }));
    expect(new Combiner({ rule, n: 1 }).combine(parts, GLOBAL).sum[0]).toBe(want);
  });
});
