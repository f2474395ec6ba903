import fc from "fast-check";
import { expect, test } from "vitest";
import { KernelMemory } from "../kernels/index.ts";
import { BLOCK_VALUES, bytesOfBlocks, decodeBlocks, encodeBlocks } from "./value-blocks.ts";
import type { ValueDtype } from "./value-dtype.ts";

const kernels = new KernelMemory();
const dtypes: readonly ValueDtype[] = ["float32", "bfloat16", "int8"];

test.each(dtypes)("decodeBlocks() refuses bytes that are not those of the values: %s", (dtype) => {
  const bytes = bytesOfBlocks(dtype, 200);
  for (const wrong of [0, bytes - 1, bytes + 4]) {
    expect(() => decodeBlocks(kernels, new Uint8Array(wrong), { dtype, n: 200 })).toThrow(RangeError);
  }
});

test("values come back within the error of their own block, at any length", () => {
  fc.assert(
    fc.property(fc.constantFrom(...dtypes), fc.nat(5 * BLOCK_VALUES), (dtype, n) => {
      const scaleOf = (i: number) => 10 ** (3 * Math.floor(i / BLOCK_VALUES) - 6);
      const values = Float32Array.from({ length: n }, (_, i) => scaleOf(i) * Math.sin(i * i));
      const bytes = encodeBlocks(kernels, values, dtype);
      expect(bytes.length).toBe(bytesOfBlocks(dtype, n));
      const decoded = decodeBlocks(kernels, bytes, { dtype, n });
      expect(decoded.length).toBe(n);
      const errorOf = { float32: 0, bfloat16: 2 ** -8, int8: 1 / 255 + 2 ** -20 }[dtype];
      const isNear = (x: number, i: number) => Math.abs(x - values[i]!) <= errorOf * scaleOf(i);
      expect(decoded.every(isNear)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("int8 takes little more than a byte a value", () => {
  expect(bytesOfBlocks("int8", 1280)).toBe(1360);
  expect(bytesOfBlocks("int8", 1281)).toBe(1372);
});
