import fc from "fast-check";
import { expect, test } from "vitest";
import { bfloat16Of, int8Row, int8Values } from "./oracle/convert.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;
const HALVES = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

/** Where rules change: zeros, subnormals, ties, the largest, infinities, NaNs with payloads. */
const CORNERS = [
  [0, 1, 0x7fffff, 0x800000, 0x00008000, 0x00018000, 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001],
  [0x7f7fffff, 0x7f7f8000, 0x7f7f7fff, 0x7f800000, 0x7f800001, 0x7f80ffff, 0x7fc00000, 0x7fffffff, 0x7fa00000],
].flat();
const bits = fc
  .tuple(
    fc.oneof(
      fc.nat(0x7fffffff),
      fc.constantFrom(...CORNERS),
      // A tie, or exact.
      fc.nat(0xffff).map((x) => x << 15),
    ),
    fc.boolean(),
  )
  .map(([size, negative]) => (negative ? size | 0x80000000 : size) >>> 0);
const place = { at: fc.integer({ min: 0, max: 15 }), out: fc.integer({ min: 0, max: 15 }) };

function halvesOf(words: Uint32Array, { at, out } = { at: 0, out: 0 }): Uint16Array {
  const from = memory.reset().put(words, at);
  const to = memory.reserve(2 * words.length, out);
  kernels.toBfloat16(from, words.length, to);
  expect(memory.untouchedAround(to, 2 * words.length)).toBe(true);
  return memory.shorts(to, words.length);
}

function wordsOf(halves: Uint16Array, { at, out } = { at: 0, out: 0 }) {
  const from = memory.reset().put(halves, at);
  const to = memory.reserve(4 * halves.length, out);
  kernels.fromBfloat16(from, halves.length, to);
  expect(memory.untouchedAround(to, 4 * halves.length)).toBe(true);
  return memory.words(to, halves.length);
}

test("toBfloat16() gives the nearest, at any length and address", () => {
  const words = Uint32Array.from([...CORNERS, ...CORNERS.map((x) => (x | 0x80000000) >>> 0)]);
  expect([...halvesOf(words)]).toEqual([...words].map(bfloat16Of));
  fc.assert(
    fc.property(fc.array(bits, { maxLength: 40 }), fc.record(place), (list, places) => {
      expect([...halvesOf(Uint32Array.from(list), places)]).toEqual(list.map(bfloat16Of));
    }),
    { numRuns: 2000 },
  );
});

test("fromBfloat16() moves every bit pattern up", () => {
  expect(wordsOf(HALVES)).toEqual(Uint32Array.from(HALVES, (half) => half << 16));
});

test("every bfloat16 comes back, a NaN quiet", () => {
  const bfloats = halvesOf(wordsOf(HALVES));
  expect(bfloats).toEqual(HALVES.map((half) => ((half & 0x7fff) > 0x7f80 ? half | 0x0040 : half)));
});

test("fromBfloat16() writes n floats, at any length and address", () => {
  const all = wordsOf(HALVES);
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff), { maxLength: 40 }), fc.record(place), (list, places) => {
      expect(wordsOf(Uint16Array.from(list), places)).toEqual(Uint32Array.from(list, (half) => all[half]!));
    }),
    { numRuns: 300 },
  );
});

const rowsOf = (values: fc.Arbitrary<number>) =>
  fc
    .tuple(fc.integer({ min: 1, max: 37 }), fc.integer({ min: 0, max: 4 }))
    .chain(([dim, rows]) =>
      fc.array(values, { minLength: dim * rows, maxLength: dim * rows }).map((list) => ({ dim, rows, list })),
    );
const value = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: -2, max: 2, noNaN: true }),
  fc.constantFrom(0, -0, 1, 2 ** -149, 3.4e38, -3.4e38),
  fc.nat(700).map((x) => x * 2 ** -149),
  fc.nat(700).map((x) => x * 2 ** -126),
);

/** The blocks of rows, and the values they are read as. */
function throughInt8({ dim, rows, list }: { dim: number; rows: number; list: readonly number[] }, offset = 0) {
  const blockBytes = 8 + 4 * Math.ceil(dim / 4);
  const from = memory.reset().put(Float32Array.from(list), offset);
  const blocks = memory.reserve(rows * blockBytes, offset);
  const back = memory.reserve(4 * rows * dim, offset);
  kernels.toInt8Rows(from, rows, dim, blocks);
  kernels.fromInt8Rows(blocks, rows, dim, back);
  expect(memory.untouchedAround(blocks, rows * blockBytes)).toBe(true);
  expect(memory.untouchedAround(back, 4 * rows * dim)).toBe(true);
  const cut = <T>(n: number, at: (row: number) => T) => Array.from({ length: n }, (_, row) => at(row));
  return {
    blocks: cut(rows, (row) => memory.bytes(blocks + row * blockBytes, blockBytes)),
    values: cut(rows, (row) => memory.floats(back + 4 * row * dim, dim)),
  };
}

test("toInt8Rows() and fromInt8Rows() give the oracle's bytes and values, at any shape", () => {
  fc.assert(
    fc.property(rowsOf(value), fc.constantFrom(0, 4, 8, 12), (shape, offset) => {
      const coded = throughInt8(shape, offset);
      for (let row = 0; row < shape.rows; row++) {
        const values = Float32Array.from(shape.list.slice(row * shape.dim, (row + 1) * shape.dim));
        const block = int8Row(values);
        expect(coded.blocks[row]).toEqual(block);
        expect(coded.values[row]).toEqual(int8Values(block, shape.dim));
      }
    }),
    { numRuns: 2000 },
  );
});

test("an int8 value is off by half a step at most, and a row of equal values by nothing", () => {
  fc.assert(
    fc.property(rowsOf(fc.float({ min: -100, max: 100, noNaN: true })), (shape) => {
      const coded = throughInt8(shape);
      for (const [row, values] of coded.values.entries()) {
        const given = shape.list.slice(row * shape.dim, (row + 1) * shape.dim);
        const step = (Math.max(...given) - Math.min(...given)) / 255;
        // Beside the half step: the roundings of scale, product and sum.
        const bound = 0.5 * step + 100 * 2 ** -21 + 2 ** -140;
        for (const [i, x] of values.entries()) expect(Math.abs(x - given[i]!)).toBeLessThanOrEqual(bound);
      }
    }),
  );
  expect(throughInt8({ dim: 5, rows: 1, list: [0.1, 0.1, 0.1, 0.1, 0.1] }).values[0]).toEqual(
    new Float32Array(5).fill(0.1),
  );
});

test.each([NaN, Infinity, -Infinity])("a row with %d in it is read as NaN, its neighbour is not", (bad) => {
  for (let dim = 1; dim <= 9; dim++) {
    for (let at = 0; at < dim; at++) {
      const list = Array.from({ length: 2 * dim }, (_, i) => (i === at ? bad : i));
      const [spoiled, sound] = throughInt8({ dim, rows: 2, list }).values;
      expect([...spoiled!].every(Number.isNaN)).toBe(true);
      expect([...sound!].every(Number.isFinite)).toBe(true);
    }
  }
});
