import fc from "fast-check";
import { expect, test } from "vitest";
import { magnitudeCounts, placesFrom } from "./oracle/magnitudes.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;

const TABLES = 4;
const BUCKETS = 4096;

/** Floats of any bits, NaN's too. */
const values = fc
  .array(fc.oneof(fc.integer(), fc.constantFrom(0, 1 << 31, 0x7f80_0000, 0x7fc0_0001, -1, 0x3f80_0000)), {
    maxLength: 60,
  })
  .map((bits) => new Float32Array(Int32Array.from(bits).buffer));

test("countMagnitudes() adds to four tables, whose sums count, at any length and address", () => {
  fc.assert(
    fc.property(values, fc.nat(15), (values, offset) => {
      const at = memory.reset().put(values, offset);
      const counts = memory.put(new Uint32Array(TABLES * BUCKETS));
      kernels.countMagnitudes(at, values.length, counts);
      kernels.countMagnitudes(at, values.length, counts);
      const tables = memory.words(counts, TABLES * BUCKETS);
      const sums = new Uint32Array(BUCKETS);
      for (const [i, n] of tables.entries()) sums[i % BUCKETS]! += n / 2;
      const expected = magnitudeCounts(values);
      expect(sums.every((n, i) => n === expected[i])).toBe(true);
      expect(memory.untouchedAround(counts, 4 * TABLES * BUCKETS)).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test("placesFromMagnitude() finds them in order, at any length and address, and writes no more", () => {
  const leasts = fc.oneof(fc.constantFrom(0, 1, 0x3f80_0000, 0x7f80_0000, 0x7fff_ffff), fc.nat(0x7fff_ffff));
  fc.assert(
    fc.property(values, leasts, fc.nat(15), (values, least, offset) => {
      const at = memory.reset().put(values, offset);
      const places = placesFrom(values, least);
      const out = memory.reserve(4 * places.length, offset);
      expect(kernels.placesFromMagnitude(at, values.length, least, out)).toBe(places.length);
      expect([...memory.words(out, places.length)]).toEqual(places);
      expect(memory.untouchedAround(out, 4 * places.length)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
