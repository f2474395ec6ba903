import fc from "fast-check";
import { expect, test } from "vitest";
import { extentBytes, Extents } from "./extents.ts";

test("an extent is given back once", () => {
  const extents = new Extents({ from: 64, to: 4096 });
  const at = extents.take(100);
  extents.give(at, 100);
  expect(() => extents.give(at, 100)).toThrow(/an extent is given back once/);
});

test("where no free extent is long enough there is none", () => {
  const extents = new Extents({ from: 64, to: 64 + 256 });
  expect(extents.take(257)).toBe(0);
  const first = extents.take(96);
  extents.take(64);
  extents.take(96);
  extents.give(first, 96);
  expect(extents.take(128)).toBe(0);
  expect(extents.take(96)).toBe(first);
});

test("extents that are taken never overlap, and all of them given back are one again", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ what: fc.constant("take" as const), n: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ what: fc.constant("give" as const), n: fc.nat(1000) }),
    ),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const extents = new Extents({ from: 64, to: 64 + 8192 });
      const taken: { at: number; bytes: number }[] = [];
      for (const { what, n } of list) {
        if (what === "take") {
          const at = extents.take(n);
          if (at !== 0) taken.push({ at, bytes: n });
        } else if (taken.length > 0) {
          const [extent] = taken.splice(n % taken.length, 1);
          extents.give(extent!.at, extent!.bytes);
        }
        const sorted = taken.toSorted((a, b) => a.at - b.at);
        sorted.forEach(({ at, bytes }, i) => {
          expect(at + extentBytes(bytes)).toBeLessThanOrEqual(sorted[i + 1]?.at ?? 64 + 8192);
        });
        expect(extents.used).toBe(taken.reduce((sum, { bytes }) => sum + extentBytes(bytes), 0));
      }
      for (const { at, bytes } of taken) extents.give(at, bytes);
      expect([extents.used, extents.take(8192)]).toEqual([0, 64]);
    }),
    { numRuns: 200 },
  );
});
