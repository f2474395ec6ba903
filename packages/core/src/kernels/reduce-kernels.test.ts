import fc from "fast-check";
import { expect, test } from "vitest";
import { added, lost } from "./oracle/reduce.ts";
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
