import fc from "fast-check";
import { expect, test } from "vitest";
import { KernelMemory } from "./kernel-memory.ts";
import { bfloat16Of, bitsOf, int8Row, int8Values } from "./oracle/convert.ts";
import { murmur3x64 } from "./oracle/hash.ts";

const memory = new KernelMemory();

/** The same floats in every run, 1 and −1 within. */
const noise = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i + 1));

test("int8 rows refuse a dim that is none, and lengths that do not fit", () => {
  for (const dim of [0, -4, 2.5, NaN, 65_537]) {
    expect(() => memory.toInt8Rows(new Float32Array(8), dim)).toThrow(RangeError);
    expect(() => memory.fromInt8Rows(new Uint8Array(8), dim, 1)).toThrow(RangeError);
  }
  expect(() => memory.toInt8Rows(new Float32Array(7), 4)).toThrow("7 values are no whole rows of 4");
  expect(() => memory.fromInt8Rows(new Uint8Array(13), 3, 1)).toThrow("1 int8 rows of 3 values are 12 bytes, not 13");
});

test("addFloats() refuses two lengths", () => {
  const to = new Float32Array(3);
  expect(() => memory.addFloats(to, new Float32Array(2))).toThrow(new RangeError("2 values to be added to 3"));
});

test("addFloats() adds in place what is longer than a piece, and only there", () => {
  const all = noise(50_007);
  const from = noise(50_003).map((x) => x / 3);
  const expected = all.map((x, i) => (i < 2 || i >= 50_005 ? x : x + from[i - 2]!));
  memory.addFloats(all.subarray(2, 50_005), from);
  expect(all).toEqual(expected);
});

test("lostFloats() refuses other lengths, and goes through what is longer than a piece", () => {
  const three = new Float32Array(3);
  expect(() => memory.lostFloats(three, new Float32Array(2), three)).toThrow(RangeError);
  expect(() => memory.lostFloats(three, three, new Float32Array(4))).toThrow(RangeError);
  const values = noise(50_003);
  const sent = noise(50_010).subarray(7);
  const lost = new Float32Array(50_003);
  memory.lostFloats(values, sent, lost);
  expect(lost).toEqual(values.map((x, i) => x - sent[i]!));
});

test("magnitudes of what is longer than a piece are counted, and found at their places", () => {
  const values = noise(50_003);
  const sizes = Array.from(values, (value) => bitsOf(value) & 0x7fff_ffff);
  const counts = new Uint32Array(4096);
  for (const size of sizes) counts[size >>> 19]!++;
  expect(memory.countMagnitudes(values)).toEqual(counts);
  const least = sizes.toSorted((a, b) => b - a)[1000]!;
  const places = [...sizes.keys()].filter((i) => sizes[i]! >= least);
  const out = new Uint32Array(places.length);
  expect(memory.placesFromMagnitude(values, least, out)).toBe(places.length);
  expect([...out]).toEqual(places);
});

test("nothing becomes nothing", () => {
  expect(memory.toBfloat16(new Float32Array(0))).toEqual(new Uint16Array(0));
  expect(memory.fromBfloat16(new Uint16Array(0))).toEqual(new Float32Array(0));
  expect(memory.toInt8Rows(new Float32Array(0), 4)).toEqual(new Uint8Array(0));
  expect(memory.fromInt8Rows(new Uint8Array(0), 4, 0)).toEqual(new Float32Array(0));
  expect(memory.hash128(new Uint8Array(0))).toEqual(new Uint8Array(16));
});

test("values longer than a piece are converted whole, and views as their own part", () => {
  const values = noise(100_003).subarray(3);
  const coded = memory.toBfloat16(values);
  expect(coded).toEqual(Uint16Array.from(values, (value) => bfloat16Of(bitsOf(value))));
  const back = memory.fromBfloat16(coded.subarray(1));
  expect(back).toEqual(
    Float32Array.from(coded.subarray(1), (half) => new Float32Array(Uint32Array.of(half << 16).buffer)[0]!),
  );
});

test.each([
  [1, 20_000],
  [3, 7000],
  [64, 600],
  [16_385, 3],
  [65_536, 2],
])("int8 rows of dim %d are each their own block, %d of them", (dim, rows) => {
  const values = noise(dim * rows);
  const coded = memory.toInt8Rows(values, dim);
  const read = memory.fromInt8Rows(coded, dim, rows);
  const rowBytes = coded.length / rows;
  let wrong = 0;
  for (let row = 0; row < rows; row++) {
    const block = int8Row(values.subarray(row * dim, (row + 1) * dim));
    const same = block.every((byte, i) => coded[row * rowBytes + i] === byte);
    const readBack = int8Values(block, dim).every((value, i) => read[row * dim + i] === value);
    if (!same || !readBack || block.length !== rowBytes) wrong++;
  }
  expect(wrong).toBe(0);
});

test("hash128() is MurmurHash3 of any length, and owes nothing to the call before", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 80 }), fc.constantFrom(0, 65_536 - 40, 131_072 - 40), (more, base) => {
      const bytes = Uint8Array.from({ length: base + more }, (_, i) => (i * 31) ^ (i >> 7));
      const view = bytes.subarray(bytes.length > 5 ? 5 : 0);
      expect(memory.hash128(view)).toEqual(murmur3x64(view));
    }),
    { numRuns: 12 },
  );
});

test("what comes back is the caller's: a later call leaves it alone", () => {
  const first = memory.hash128(Uint8Array.of(1));
  const copy = first.slice();
  memory.hash128(Uint8Array.of(2));
  expect(first).toEqual(copy);
});
