import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bloomShape, CountingBloom } from "./counting-bloom.ts";

describe("a counting Bloom filter", () => {
  test("takes no memory before its first key, then a byte a counter", () => {
    const filter = new CountingBloom({ keys: 1000, falsePositives: 0.01 });
    expect([filter.bytes(), filter.counters, filter.hashes]).toEqual([0, 9586, 7]);
    filter.add(1, 2);
    expect(filter.bytes()).toBe(9586);
  });

  test("stays at 255", () => {
    const filter = new CountingBloom({ keys: 1, falsePositives: 0.5 });
    for (let n = 1; n <= 255; n++) expect(filter.add(7, 7)).toBe(n);
    expect(filter.add(7, 7)).toBe(255);
  });

  test("never counts too little until it halves, for any keys up to those it was made for", () => {
    const key = fc.tuple(fc.nat(0xffff_ffff), fc.nat(3));
    fc.assert(
      fc.property(
        fc.array(key, { minLength: 1, maxLength: 64 }),
        fc.array(fc.nat(63), { maxLength: 250, size: "max" }),
        (keys, at) => {
          const filter = new CountingBloom({ keys: 256, falsePositives: 0.01 });
          const counts = new Map<string, number>();
          for (const i of at) {
            const [lo, hi] = keys[i % keys.length]!;
            const exact = (counts.get(`${lo} ${hi}`) ?? 0) + 1;
            counts.set(`${lo} ${hi}`, exact);
            const before = filter.count(lo, hi);
            expect(before).toBeGreaterThanOrEqual(exact - 1);
            expect(filter.add(lo, hi)).toBe(before + 1);
          }
        },
      ),
    );
  });

  test.each([0.1, 0.01, 0.001])("made for %d false positives counts about that share of new keys too high", (p) => {
    const [keys, asked] = [20_000, 2000];
    const filter = new CountingBloom({ keys: keys + asked, falsePositives: p });
    for (let i = 0; i < keys; i++) filter.add(i, 9);
    let high = 0;
    for (let i = 0; i < asked; i++) if (filter.add(i, 10) > 1) high += 1;
    expect(high / asked).toBeLessThan(1.5 * p + 0.002);
    expect(high / asked).toBeGreaterThanOrEqual(p > 0.005 ? 0.3 * p : 0);
  });

  test("halves its counts when more keys wait than it was made for", () => {
    const filter = new CountingBloom({ keys: 1000, falsePositives: 0.001 });
    for (let n = 0; n < 200; n++) filter.add(1, 1);
    for (let key = 0; key < 900; key++) filter.add(key, 2);
    expect(filter.add(1, 1)).toBe(201);
    for (let key = 900; key < 1150; key++) filter.add(key, 2);
    expect(filter.add(1, 1)).toBe(101);
    for (let key = 0; key < 800; key++) expect(filter.add(key, 3)).toBeLessThan(4); // there is room again
  });

  test("counts keys that differ in one word alone apart", () => {
    const filter = new CountingBloom({ keys: 10_000, falsePositives: 1e-6 });
    for (let i = 0; i < 2000; i++) expect([filter.add(i, 0), filter.add(0, i + 1)]).toEqual([1, 1]);
  });
});

test("the shape of a filter is the textbook's", () => {
  expect(bloomShape({ keys: 1_000_000, falsePositives: 0.01 })).toEqual({ counters: 9_585_059, hashes: 7 });
  expect(bloomShape({ keys: 1, falsePositives: 0.5 })).toEqual({ counters: 8, hashes: 6 });
});
