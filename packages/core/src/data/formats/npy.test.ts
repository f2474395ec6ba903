import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { npyColumn, npyHeader } from "./npy.ts";
import { valuesOf } from "./test-text.ts";

function npy(
  descr: string,
  shape: readonly number[],
  data: Uint8Array,
  { version = 1, order = "False" } = {},
): Uint8Array {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${axes}), }\n`;
  const bytes = new Uint8Array((version === 1 ? 10 : 12) + text.length + data.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, text.length & 255, text.length >> 8]);
  bytes.set(new TextEncoder().encode(text), bytes.length - data.length - text.length);
  bytes.set(data, bytes.length - data.length);
  return bytes;
}

function read(bytes: Uint8Array): unknown[] {
  const header = npyHeader(bytes, bytes.length, "a.npy");
  return valuesOf(
    { rows: header.rows, columns: new Map([["c", npyColumn(header, bytes.subarray(header.dataFrom))]]) },
    "c",
  );
}

const eight = new Uint8Array(8);

describe("npy refuses", () => {
  it.each([
    ["what is no npy file", new TextEncoder().encode("id,name\n1,x\n"), "a.npy: not an npy file"],
    ["an unknown version", npy("<f4", [2], eight, { version: 9 }), "a.npy: npy version 9"],
    ["big-endian numbers", npy(">f4", [2], eight), '.astype("<f4")'],
    ["objects and strings", npy("|O", [1], eight), 'a.npy: dtype "|O"; expected little-endian f2'],
    ["Fortran order", npy("<f4", [1, 2], eight, { order: "True" }), "save numpy.ascontiguousarray(array)"],
    ["three axes", npy("<f4", [1, 1, 2], eight), "an array of shape (1, 1, 2); expected [rows] or [rows, k]"],
    ["a scalar", npy("<f8", [], eight), "an array of shape ()"],
  ])("%s", (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(message);
  });

  it("every truncation", () => {
    const whole = npy("<f8", [1], eight);
    for (let length = 0; length < whole.length; length++)
      expect(() => read(whole.subarray(0, length))).toThrow("a.npy: ");
  });
});

describe("npy reads", () => {
  it.each([
    ["<f4", Float32Array.of(1.5, -2)],
    ["<f8", Float64Array.of(1.1, -2e300)],
    ["|i1", Int8Array.of(-128, 127)],
    ["|u1", Uint8Array.of(0, 255)],
    ["<i2", Int16Array.of(-5, 9)],
    ["<u2", Uint16Array.of(5, 65_535)],
    ["<i4", Int32Array.of(-(2 ** 31), 7)],
    ["<u4", Uint32Array.of(2 ** 32 - 1, 7)],
    ["<i8", BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)],
    ["|b1", Uint8Array.of(1, 0)],
  ])("%s", (descr, array) => {
    const bytes = new Uint8Array(array.buffer);
    for (const version of [1, 2, 3]) expect(read(npy(descr, [2], bytes, { version }))).toEqual([...array]);
  });

  it("unsigned 64-bit integers modulo 2^64, and half precision", () => {
    expect(read(npy("<u8", [1], new Uint8Array(8).fill(255)))).toEqual([-1n]);
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555);
    expect(read(npy("<f2", [5], new Uint8Array(halves.buffer)))).toEqual([1, -2, 2 ** -24, Infinity, 0.333251953125]);
  });

  it("two axes as lists, and arrays without rows", () => {
    expect(read(npy("<i4", [2, 3], new Uint8Array(Int32Array.of(1, 2, 3, 4, 5, 6).buffer)))).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(read(npy("<f4", [0], new Uint8Array(0)))).toEqual([]);
    expect(read(npy("<f4", [0, 4], new Uint8Array(0)))).toEqual([]);
  });

  it("never hangs or allocates for broken headers", () => {
    const whole = npy("<f8", [1], eight);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bytes = whole.slice();
        bytes[at] = byte;
        try {
          expect(read(bytes).length).toBeLessThanOrEqual(8);
        } catch (error) {
          expect((error as Error).message).toMatch(/^a\.npy: /);
        }
      }),
    );
  });
});
