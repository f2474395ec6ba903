import fc from "fast-check";
import { expect, test } from "vitest";
import { added, lost, scattered } from "./oracle/reduce.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;

const float = fc.float({ noNaN: true });
const pairs = fc.array(fc.tuple(float, float), { maxLength: 50 });

test("addFloats() and scaleFloats() round each result to float32, at any length and address", () => {
  fc.assert(
    fc.property(pairs, float, fc.nat(15), fc.nat(15), (list, factor, toOffset, fromOffset) => {
      const a = Float32Array.from(list, ([x]) => x);
      const b = Float32Array.from(list, ([, y]) => y);
      const from = memory.reset().put(b, fromOffset);
      const to = memory.put(a, toOffset);
      kernels.addFloats(to, from, a.length);
      expect(memory.floats(to, a.length)).toEqual(added(a, b));
      expect(memory.untouchedAround(to, a.byteLength)).toBe(true);

      kernels.scaleFloats(from, b.length, factor);
      expect(memory.floats(from, b.length)).toEqual(b.map((x) => x * factor));
      expect(memory.untouchedAround(from, b.byteLength)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test("lostFloats() subtracts, and gives 0 for what is not finite, at any length and address", () => {
  const any = fc.oneof(fc.float(), fc.constantFrom(Infinity, -Infinity, Number.NaN, 3.4e38, -3.4e38));
  fc.assert(
    fc.property(fc.array(fc.tuple(any, any), { maxLength: 50 }), fc.nat(15), fc.nat(15), (list, offset, outOffset) => {
      const a = Float32Array.from(list, ([x]) => x);
      const b = Float32Array.from(list, ([, y]) => y);
      const values = memory.reset().put(a, offset);
      const sent = memory.put(b, outOffset);
      const out = memory.reserve(a.byteLength, outOffset);
      kernels.lostFloats(values, sent, a.length, out);
      expect(memory.floats(out, a.length)).toEqual(lost(a, b));
      expect(memory.untouchedAround(out, a.byteLength)).toBe(true);
      kernels.lostFloats(values, sent, a.length, values);
      expect(memory.floats(values, a.length)).toEqual(lost(a, b));
    }),
    { numRuns: 1000 },
  );
});

test("addBfloat16() adds the values of the halves", () => {
  const half = fc.nat(0xffff).filter((bits) => (bits & 0x7fff) <= 0x7f80);
  fc.assert(
    fc.property(fc.array(fc.tuple(float, half), { maxLength: 50 }), fc.nat(15), (list, offset) => {
      const a = Float32Array.from(list, ([x]) => x);
      const halves = Uint16Array.from(list, ([, bits]) => bits);
      const from = memory.reset().put(halves, offset);
      const to = memory.put(a, offset);
      kernels.addBfloat16(to, from, a.length);
      const values = new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
      expect(memory.floats(to, a.length)).toEqual(added(a, values));
      expect(memory.untouchedAround(to, a.byteLength)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test("scatterAdd() adds rows that share a place in their order", () => {
  const sizes = fc.record({
    dim: fc.integer({ min: 1, max: 13 }),
    n: fc.nat(20),
    places: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(
      sizes,
      fc.infiniteStream(fc.float({ noNaN: true, min: -1e6, max: 1e6 })),
      fc.infiniteStream(fc.nat(5)),
      (s, floats, places) => {
        const rows = Float32Array.from({ length: s.n * s.dim }, () => floats.next().value);
        const index = Uint32Array.from({ length: s.n }, () => places.next().value % s.places);
        const before = Float32Array.from({ length: s.places * s.dim }, () => floats.next().value);
        const rowsAt = memory.reset().put(rows);
        const indexAt = memory.put(index);
        const out = memory.put(before, 4);
        kernels.scatterAdd(rowsAt, indexAt, s.n, s.dim, out);
        expect(memory.floats(out, before.length)).toEqual(scattered(before, rows, index, s.dim));
        expect(memory.untouchedAround(out, before.byteLength)).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});
