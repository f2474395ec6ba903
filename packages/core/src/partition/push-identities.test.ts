import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { PushIdentities } from "./push-identities.ts";

const push = (sequence: number, { client = 1, settled = 0 } = {}) => ({ client, sequence, settled });

describe("a push is refused", () => {
  test.each([push(0), push(3, { settled: 3 }), push(LIMITS.directPushesMax + 1), push(NaN)])("%j", (identity) => {
    expect(() => new PushIdentities().has(identity)).toThrow(RangeError);
  });

  test("of one client too many, while those that are known go on", () => {
    const identities = new PushIdentities();
    for (let client = 0; client < LIMITS.pushClientsMax; client++) identities.add(push(1, { client }));
    expect(() => identities.has(push(1, { client: 1e9 }))).toThrow(/clients have pushed to these tables/);
    expect(identities.has(push(2, { client: 0 }))).toBe(false);
  });
});

test("what was settled is not applied when it turns up late, whether it was applied or given up", () => {
  const identities = new PushIdentities();
  identities.add(push(1));
  identities.add(push(3, { settled: 2 }));
  expect([1, 2, 3, 4].map((sequence) => identities.has(push(sequence)))).toEqual([true, true, true, false]);
});

test("each push counts once, however often and in whatever order it comes, at the copy of a copy too", () => {
  const sends = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 })), { maxLength: 300 });
  fc.assert(
    fc.property(sends, (all) => {
      let identities = new PushIdentities();
      const applied: string[] = [];
      for (const [sequence, client] of all) {
        const identity = push(sequence, { client });
        if (identities.has(identity)) continue;
        identities.add(identity);
        applied.push(`${client}/${sequence}`);
        const copy = new PushIdentities();
        copy.restore(identities.snapshot());
        expect(copy.snapshot()).toEqual(identities.snapshot());
        identities = copy;
      }
      expect(applied.length).toBe(new Set(all.map(([sequence, client]) => `${client}/${sequence}`)).size);
    }),
  );
});

test("numbers that are no copy are refused", () => {
  const identities = new PushIdentities();
  for (const numbers of [[1], [1, 0, 2, 1], [1, 0, 0, 2]])
    expect(() => identities.restore(numbers)).toThrow(/^direct pushes of client \d end after \d/);
});
