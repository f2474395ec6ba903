import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epochOrder } from "./order.ts";

const someOptions = fc.record({
  rows: fc.integer({ min: 0, max: 700 }),
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  epoch: fc.integer({ min: 0, max: 1000 }),
  blockRows: fc.integer({ min: 1, max: 60 }),
  windowBlocks: fc.integer({ min: 1, max: 20 }),
});

describe("epochOrder()", () => {
  it("refuses numbers out of their bounds", () => {
    const good = { rows: 10, seed: 1, epoch: 0 };
    expect(() => epochOrder({ ...good, rows: -1 })).toThrow(
      new RangeError("epochOrder: rows must be a whole number from 0 to 4294967295, got -1"),
    );
    expect(() => epochOrder({ ...good, seed: 2 ** 32 })).toThrow("seed must be a whole number");
    expect(() => epochOrder({ ...good, epoch: 0.5 })).toThrow("epoch must be a whole number");
    expect(() => epochOrder({ ...good, blockRows: 0 })).toThrow("blockRows must be a whole number from 1");
    expect(() => epochOrder({ ...good, windowBlocks: Number.NaN })).toThrow("windowBlocks must be a whole number");
  });

  it("holds every row exactly once", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        const order = epochOrder(options);
        expect(Array.from(order.toSorted())).toEqual(Array.from({ length: options.rows }, (_, row) => row));
      }),
    );
  });

  it("is a pure function of its options", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        expect(epochOrder(options)).toEqual(epochOrder(options));
      }),
    );
    // Part of every job's meaning: a change here changes what every seed trains.
    expect([...epochOrder({ rows: 10, seed: 1, epoch: 0 })]).toEqual([2, 9, 3, 6, 4, 0, 7, 8, 1, 5]);
    expect([...epochOrder({ rows: 10, seed: 1, epoch: 0, blockRows: 2, windowBlocks: 2 })]).toEqual([
      3, 9, 8, 2, 6, 1, 7, 0, 5, 4,
    ]);
  });

  it("differs between epochs and between seeds", () => {
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => epochOrder({ rows: 100, seed, epoch }).join()));
    expect(new Set(orders).size).toBe(9);
  });

  it("mixes rows only within a window of whole blocks", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        const order = epochOrder(options);
        const { rows, blockRows, windowBlocks } = options;
        const blocks = Math.ceil(rows / blockRows);
        const windowOfBlock = new Map<number, number>();
        let at = 0;
        for (let window = 0; at < rows; window++) {
          const seen = new Set<number>();
          const isLast = (window + 1) * windowBlocks >= blocks;
          const wanted = isLast ? blocks - window * windowBlocks : windowBlocks;
          // A window ends where all its blocks are complete.
          const countOf = new Map<number, number>();
          const isComplete = (): boolean =>
            seen.size === wanted &&
            [...seen].every(
              (block) => countOf.get(block) === Math.min(rows, (block + 1) * blockRows) - block * blockRows,
            );
          while (!isComplete()) {
            const block = Math.floor(order[at++]! / blockRows);
            seen.add(block);
            countOf.set(block, (countOf.get(block) ?? 0) + 1);
            expect(seen.size).toBeLessThanOrEqual(wanted);
            expect(windowOfBlock.get(block) ?? window).toBe(window);
            windowOfBlock.set(block, window);
          }
        }
      }),
    );
  });

  it("gives every order the same chance", () => {
    const counts = new Map<string, number>();
    const epochs = 12_000;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = epochOrder({ rows: 4, seed: 7, epoch }).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const expected = epochs / 24;
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquared).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001
  });
});
