import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keysOf, pairsOf } from "../partition/test-segment.ts";
import { Tombstones, type VocabularyRecord } from "./vocabulary-record.ts";

function record(step: number, table: number, keys: (number | bigint)[]): VocabularyRecord {
  return { step, table, admitted: new Uint32Array(0), evicted: Uint32Array.from(pairsOf(keys)) };
}

/** Keys by table, or the step since which the answer would be complete. */
function since(tombstones: Tombstones, step: number): Record<number, bigint[]> | number {
  const answer = tombstones.since(step);
  if (answer.kind === "incomplete") return answer.completeSince;
  return Object.fromEntries(answer.tables.map(({ table, keys }) => [table, keysOf(keys)]));
}

describe("tombstones", () => {
  test("tell which keys went after a step, by table, each once, ascending", () => {
    const tombstones = new Tombstones({ max: 100 });
    tombstones.add(record(3, 2, [9, 2n ** 32n]));
    tombstones.add(record(5, 1, [7]));
    tombstones.add(record(6, 2, [4, 9]));
    expect(since(tombstones, 0)).toEqual({ 1: [7n], 2: [4n, 9n, 2n ** 32n] });
    expect(since(tombstones, 3)).toEqual({ 1: [7n], 2: [4n, 9n] });
    expect(since(tombstones, 6)).toEqual({});
  });

  test("that were forgotten, or were too many, are told to be missing", () => {
    const tombstones = new Tombstones({ max: 3 });
    tombstones.add(record(1, 1, [1]));
    tombstones.add(record(2, 1, [2, 3]));
    expect(since(tombstones, 0)).toEqual({ 1: [1n, 2n, 3n] });
    tombstones.add(record(4, 1, [4]));
    expect(since(tombstones, 0)).toBe(1);
    expect(since(tombstones, 1)).toEqual({ 1: [2n, 3n, 4n] });
    tombstones.forget(4);
    expect([since(tombstones, 3), since(tombstones, 4)]).toEqual([4, {}]);
  });

  test("of one step that are too many for all room leave no complete answer before it", () => {
    const tombstones = new Tombstones({ max: 2 });
    tombstones.add(record(7, 1, [1, 2, 3, 4, 5]));
    expect([since(tombstones, 6), since(tombstones, 7)]).toEqual([7, {}]);
  });

  test("take no memory before the first, and stay within their number", () => {
    const tombstones = new Tombstones({ max: 1000 });
    expect(tombstones.bytes()).toBe(0);
    for (let step = 1; step < 500; step++) tombstones.add(record(step, 1, [step, step + 1, step + 2]));
    expect(tombstones.bytes()).toBe(16 * 1000);
  });

  test("answer as a list of all that went does, over any run of steps", () => {
    const event = fc.record({
      keys: fc.uniqueArray(fc.nat(20), { maxLength: 6 }),
      table: fc.nat(2),
      forget: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 150, size: "max" }), fc.integer({ min: 1, max: 200 }), (events, max) => {
        let tombstones = new Tombstones({ max });
        let all: { step: number; table: number; key: number }[] = [];
        let complete = 0;
        events.forEach(({ keys, table, forget }, i) => {
          const step = i + 1;
          tombstones.add(
            record(
              step,
              table,
              keys.toSorted((a, b) => a - b),
            ),
          );
          all.push(...keys.toSorted((a, b) => a - b).map((key) => ({ step, table, key })));
          if (all.length > max) complete = all[all.length - max - 1]!.step;
          all = all.slice(-max);
          if (forget === 0) {
            complete = Math.max(complete, step - 2);
            tombstones.forget(step - 2);
            all = all.filter((each) => each.step > step - 2);
          }
          if (forget === 1) {
            const copy = new Tombstones({ max });
            copy.restore(tombstones.snapshot());
            tombstones = copy;
          }
          const asked = Math.max(0, step - forget);
          const later = all.filter((each) => each.step > asked);
          const expected = [...new Set(later.map((each) => each.table))].map((number) => {
            const keys = later.filter((each) => each.table === number).map(({ key }) => key);
            return [number, [...new Set(keys)].toSorted((a, b) => a - b).map(BigInt)];
          });
          expect(since(tombstones, asked)).toEqual(asked < complete ? complete : Object.fromEntries(expected));
        });
      }),
      { numRuns: 150 },
    );
  });
});
