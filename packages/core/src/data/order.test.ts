import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EpochOrder, epochOrder, type EpochOrderOptions } from "./order.ts";

const someOptions = fc.record({
  rows: fc.integer({ min: 0, max: 700 }),
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  epoch: fc.integer({ min: 0, max: 1000 }),
  blocks: fc.record({ blockRows: fc.integer({ min: 1, max: 60 }), windowBlocks: fc.integer({ min: 1, max: 20 }) }),
});

const orderOf = (options: EpochOrderOptions): Uint32Array => new EpochOrder(options).slice(0, options.rows);

describe("EpochOrder", () => {
  it("refuses numbers out of their bounds", () => {
    const good = { rows: 10, seed: 1, epoch: 0 };
    const refuse = (wrong: Partial<EpochOrderOptions>, message: string): void => {
      expect(() => new EpochOrder({ ...good, ...wrong })).toThrow(new RangeError(`EpochOrder: ${message}`));
    };
    refuse({ rows: -1 }, "rows must be a whole number from 0 to 4294967295, got -1");
    refuse({ seed: 2 ** 32 }, "seed must be a whole number from 0 to 4294967295, got 4294967296");
    refuse({ epoch: 0.5 }, "epoch must be a whole number from 0 to 4294967295, got 0.5");
    refuse(
      { blocks: { blockRows: 0, windowBlocks: 1 } },
      "blockRows must be a whole number from 1 to 4294967295, got 0",
    );
    refuse(
      { blocks: { blockRows: 1, windowBlocks: Number.NaN } },
      "windowBlocks must be a whole number from 1 to 4294967295, got NaN",
    );
    const order = new EpochOrder(good);
    for (const [from, to] of [
      [-1, 2],
      [3, 2],
      [0, 11],
      [0.5, 1],
    ] as const)
      expect(() => order.slice(from, to)).toThrow(
        new RangeError(`EpochOrder: slice(${from}, ${to}) is no range within its 10 rows`),
      );
  });

  it("holds every row exactly once", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        const order = orderOf(options);
        expect(Array.from(order.toSorted())).toEqual(Array.from({ length: options.rows }, (_, row) => row));
      }),
    );
  });

  it("is a pure function of its options", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        expect(orderOf(options)).toEqual(orderOf(options));
      }),
    );
    // Part of every job's meaning: a change here changes what every seed trains.
    expect([...epochOrder({ rows: 10, seed: 1, epoch: 0 })]).toEqual([2, 9, 3, 6, 4, 0, 7, 8, 1, 5]);
    expect([...orderOf({ rows: 10, seed: 1, epoch: 0, blocks: { blockRows: 2, windowBlocks: 2 } })]).toEqual([
      2, 3, 9, 8, 0, 6, 1, 7, 5, 4,
    ]);
  });

  it("gives any slice of itself, in any order", () => {
    const someSlices = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(someOptions, fc.boolean(), someSlices, ({ blocks, ...rest }, inBlocks, slices) => {
        const options = inBlocks ? { ...rest, blocks } : rest;
        const whole = orderOf(options);
        const order = new EpochOrder(options);
        for (const picks of slices) {
          const [from, to] = picks.map((pick) => pick % (options.rows + 1)).toSorted((a, b) => a - b) as [
            number,
            number,
          ];
          expect(order.slice(from, to)).toEqual(whole.slice(from, to));
        }
      }),
    );
  });

  it("mixes all with all where one window holds all blocks, or no blocks are given", () => {
    const options = { rows: 100, seed: 3, epoch: 2 };
    const whole = epochOrder(options);
    expect(orderOf({ ...options, blocks: { blockRows: 30, windowBlocks: 4 } })).toEqual(whole);
    expect(orderOf({ ...options, blocks: { blockRows: 30, windowBlocks: 3 } })).not.toEqual(whole);
  });

  it("leaves rows as they are where they are not to be shuffled", () => {
    const order = new EpochOrder({
      rows: 5,
      seed: 1,
      epoch: 0,
      shuffle: false,
      blocks: { blockRows: 2, windowBlocks: 1 },
    });
    expect(order.slice(1, 5)).toEqual(Uint32Array.of(1, 2, 3, 4));
  });

  it("gives each window a shuffle of its own", () => {
    const order = orderOf({ rows: 4000, seed: 1, epoch: 0, blocks: { blockRows: 100, windowBlocks: 1 } });
    const shuffles = new Set(
      Array.from({ length: 40 }, (_, w) =>
        order
          .slice(100 * w, 100 * (w + 1))
          .map((row) => row % 100)
          .join(),
      ),
    );
    expect(shuffles.size).toBe(40);
  });

  it("differs between epochs and between seeds", () => {
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => epochOrder({ rows: 100, seed, epoch }).join()));
    expect(new Set(orders).size).toBe(9);
  });

  it("mixes rows only within a window of whole blocks", () => {
    fc.assert(
      fc.property(someOptions, (options) => {
        const order = orderOf(options);
        const { rows } = options;
        const { blockRows, windowBlocks } = options.blocks;
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
