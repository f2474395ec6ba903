import fc from "fast-check";
import { expect, test } from "vitest";
import { KeyCounter } from "./key-counter.ts";

/** The same on a Map: insertion order plays no part. */
class CounterModel {
  counts = new Map<string, number>();
  readonly keysMax: number;

  constructor(keysMax: number) {
    this.keysMax = keysMax;
  }

  add(lo: number, hi: number): number {
    const key = `${hi}:${lo}`;
    if (!this.counts.has(key) && this.counts.size >= this.keysMax) {
      this.counts = new Map([...this.counts].filter(([, n]) => n > 0));
      while (this.counts.size > 0.75 * this.keysMax)
        this.counts = new Map(
          [...this.counts].map(([k, n]) => [k, Math.floor(n / 2)] as const).filter(([, n]) => n > 0),
        );
    }
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    return this.counts.get(key)!;
  }

  forget(lo: number, hi: number): void {
    const key = `${hi}:${lo}`;
    if (this.counts.has(key)) this.counts.set(key, 0);
  }
}

test("a counter of one key counts it until another comes", () => {
  const counter = new KeyCounter({ keysMax: 1 });
  expect([counter.add(1, 0), counter.add(1, 0), counter.add(2, 0), counter.add(1, 0)]).toEqual([1, 2, 1, 1]);
});

test("a full counter halves its counts and forgets the rare keys", () => {
  const counter = new KeyCounter({ keysMax: 4 });
  for (let i = 0; i < 6; i++) counter.add(1, 0);
  for (const key of [2, 3, 4]) counter.add(key, 0);
  expect(counter.add(5, 0)).toBe(1); // 6 becomes 3, and 1, 1, 1 are gone
  expect(counter.size).toBe(2);
  expect([counter.add(1, 0), counter.add(2, 0)]).toEqual([4, 1]);
});

test("a full counter that has forgotten keys drops those before it halves anything", () => {
  const counter = new KeyCounter({ keysMax: 4 });
  for (const key of [1, 2, 3, 4]) counter.add(key, 0);
  counter.forget(4, 0);
  counter.add(5, 0);
  expect([counter.add(1, 0), counter.add(2, 0), counter.add(3, 0)]).toEqual([2, 2, 2]);
});

test("any run of pushes and forgotten keys counts as a Map that ages does, with any number of keys", () => {
  let aged = 0;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.record({ lo: fc.nat(60), hi: fc.nat(1), forget: fc.nat(9) }), { maxLength: 800, size: "max" }),
      (keysMax, calls) => {
        const counter = new KeyCounter({ keysMax });
        const model = new CounterModel(keysMax);
        for (const { lo, hi, forget } of calls) {
          const before = model.counts.size;
          expect(counter.count(lo, hi)).toBe(model.counts.get(`${hi}:${lo}`) ?? 0);
          expect(counter.add(lo, hi)).toBe(model.add(lo, hi));
          if (model.counts.size < before) aged += 1;
          expect(counter.size).toBe(model.counts.size);
          expect(counter.size).toBeLessThanOrEqual(keysMax);
          if (forget > 0) continue;
          counter.forget(lo, hi);
          model.forget(lo, hi);
        }
      },
    ),
    { numRuns: 200 },
  );
  expect(aged).toBeGreaterThan(200);
});
