import fc from "fast-check";
import { expect, test } from "vitest";
import { KernelMemory } from "../kernels/index.ts";
import { bytesOfValues, decodeValues, encodeValues, type ValueDtype } from "./value-dtype.ts";

const kernels = new KernelMemory();
const dtypes: readonly ValueDtype[] = ["float32", "bfloat16", "int8"];
const dtype = fc.constantFrom(...dtypes);

test.each(dtypes)("decodeValues() refuses bytes that are not those of the rows: %s", (dtype) => {
  const bytes = bytesOfValues(dtype, { rows: 2, dim: 3 });
  for (const wrong of [0, bytes - 1, bytes + 1, 2 * bytes]) {
    expect(() => decodeValues(kernels, new Uint8Array(wrong), { dtype, rows: 2, dim: 3 })).toThrow(
      new RangeError(`2 rows of 3 ${dtype} values are ${bytes} bytes, not ${wrong}`),
    );
  }
});

test("encodeValues() of int8 refuses values that are no whole rows", () => {
  expect(() => encodeValues(kernels, new Float32Array(7), { dtype: "int8", dim: 2 })).toThrow(RangeError);
});

test("encoded values are as long as said, and come back within the dtype's error from any offset", () => {
  const errorOf = { float32: 0, bfloat16: 2 ** -8, int8: 0.5 / 255 + 2 ** -20 };
  fc.assert(
    fc.property(dtype, fc.integer({ min: 1, max: 20 }), fc.nat(5), fc.nat(7), (dtype, dim, rows, offset) => {
      const values = Float32Array.from({ length: rows * dim }, (_, i) => 0.5 * Math.sin(i * i));
      const encoded = encodeValues(kernels, values, { dtype, dim });
      expect(encoded.length).toBe(bytesOfValues(dtype, { rows, dim }));

      const received = new Uint8Array(offset + encoded.length + 3);
      received.set(encoded, offset);
      const bytes = received.subarray(offset, offset + encoded.length);
      const decoded = decodeValues(kernels, bytes, { dtype, rows, dim });
      expect(decoded.length).toBe(values.length);
      for (const [i, value] of decoded.entries()) {
        expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(errorOf[dtype]);
      }
    }),
    { numRuns: 500 },
  );
});

test("float32 keeps every bit, NaN's included, and what was decoded is a copy", () => {
  const words = Uint32Array.of(0x7fc00001, 0x80000000, 1, 0xff800000);
  const encoded = encodeValues(kernels, new Float32Array(words.buffer), { dtype: "float32", dim: 2 });
  const decoded = decodeValues(kernels, encoded, { dtype: "float32", rows: 2, dim: 2 });
  words.fill(0);
  expect([...new Uint32Array(decoded.buffer)]).toEqual([0x7fc00001, 0x80000000, 1, 0xff800000]);
});
