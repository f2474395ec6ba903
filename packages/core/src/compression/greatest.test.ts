import fc from "fast-check";
import { expect, test } from "vitest";
import { KernelMemory } from "../kernels/index.ts";
import { placesOfGreatest } from "./greatest.ts";

const kernels = new KernelMemory();
const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** Bits of |x|: NaN is above infinity. */
function size(x: number): number {
  floats[0] = x;
  return words[0]! & 0x7fff_ffff;
}

function oracle(values: Float32Array, k: number): number[] {
  const order = [...values.keys()].toSorted((a, b) => size(values[b]!) - size(values[a]!) || a - b);
  return order.slice(0, Math.max(0, k)).toSorted((a, b) => a - b);
}

test("placesOfGreatest() are those that a sort finds, of any values and with many equal ones", () => {
  const few = fc.constantFrom(0, -0, 1, -1, 1 + 2 ** -23, 1 + 2 ** -13, Infinity, Number.NaN, 1e-45, -2);
  const value = fc.oneof(few, fc.float());
  fc.assert(
    fc.property(fc.array(value, { maxLength: 80 }), fc.integer({ min: -1, max: 82 }), (list, k) => {
      const values = Float32Array.from(list);
      expect([...placesOfGreatest(kernels, values, k)]).toEqual(oracle(values, k));
    }),
    { numRuns: 2000 },
  );
});

test("placesOfGreatest() tells close magnitudes apart", () => {
  const near = fc.array(fc.integer({ min: 0x3f80_0000, max: 0x3f80_0000 + 3000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(near, fc.nat(), (bits, draw) => {
      const values = new Float32Array(Uint32Array.from(bits).buffer);
      const k = 1 + (draw % bits.length);
      expect([...placesOfGreatest(kernels, values, k)]).toEqual(oracle(values, k));
    }),
    { numRuns: 500 },
  );
});
