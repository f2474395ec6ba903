import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ROW_HEADER_BYTES, rowLayout, UPDATES_AT, valueBytes, type RowDtype } from "../table/row-layout.ts";
import { bfloat16Of, bitsOf, floatOf, int8Row, int8Values } from "./oracle/convert.ts";
import { KernelTable, wordsOf } from "./oracle/kernel-table.ts";
import { RowMemory } from "./oracle/row-memory.ts";
import { chancedBfloat16, chancedInt8Row, chanceOf } from "./oracle/stochastic-rounding.ts";

const memory = new RowMemory(256);
const { kernels } = memory;
beforeEach(() => memory.clear());

const DTYPES = ["float32", "bfloat16", "int8"] as const;
const CODES = { float32: 0, bfloat16: 1, int8: 2 } satisfies Record<RowDtype, number>;

const open = (dtype: RowDtype, dim: number): KernelTable => {
  const { stride } = rowLayout({ dtype, dim, stateWidth: 1 });
  return new KernelTable(memory, { stride, slotsMax: 1024, keysMax: 400, rowsPerBlock: 7 });
};

/** The bytes of one row's weights as a dtype, rounded to nearest even. */
function coded(weights: Float32Array, dtype: RowDtype): Uint8Array {
  switch (dtype) {
    case "float32":
      return new Uint8Array(weights.slice().buffer);
    case "bfloat16":
      return new Uint8Array(Uint16Array.from(weights, (weight) => bfloat16Of(bitsOf(weight))).buffer);
    case "int8":
      return int8Row(weights);
    default:
      return dtype satisfies never;
  }
}

function decoded(bytes: Uint8Array, dtype: RowDtype, dim: number): Float32Array {
  switch (dtype) {
    case "float32":
      return new Float32Array(bytes.slice().buffer);
    case "bfloat16":
      return Float32Array.from(new Uint16Array(bytes.slice().buffer), (half) => floatOf(half << 16));
    case "int8":
      return int8Values(bytes, dim);
    default:
      return dtype satisfies never;
  }
}

/** The bytes of one row's weights, rounded as a row of this key and number of updates is. */
function chanced(weights: Float32Array, dtype: RowDtype, { key, updates }: { key: bigint; updates: number }) {
  if (updates === 0 || dtype === "float32") return coded(weights, dtype);
  const chances = [...weights].map((_, c) => chanceOf(key, updates, c));
  if (dtype === "int8") return chancedInt8Row(weights, chances);
  return new Uint8Array(Uint16Array.from(weights, (weight, c) => chancedBfloat16(weight, chances[c]!)).buffer);
}

const weight = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true, min: -2, max: 2 }),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1, 1e-45, 1.00390625),
);
const weightsOf = (dim: number) =>
  fc.array(weight, { minLength: dim, maxLength: dim }).map((w) => Float32Array.from(w));
const someRows = fc
  .record({ dim: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 130 })), n: fc.nat(12) })
  .chain(({ dim, n }) => {
    const row = fc.record({
      key: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      updates: fc.oneof(fc.nat(3), fc.nat(0xffffffff)),
      weights: weightsOf(dim),
    });
    return fc.record({
      dim: fc.constant(dim),
      rows: fc.uniqueArray(row, { maxLength: n, selector: ({ key }) => key }),
    });
  });

/** Writes rows as `rowsWrite` does, after the updates that each has had; gives the address of their addresses. */
function write(
  table: KernelTable,
  rows: readonly { key: bigint; updates: number; weights: Float32Array }[],
  { dtype, dim }: { dtype: RowDtype; dim: number },
): number {
  const addresses = memory.takeWords(table.insert(rows.map(({ key }) => key)));
  for (const [i, { updates }] of rows.entries()) {
    memory.words[((memory.words[addresses / 4 + i]! & ~7) + UPDATES_AT) / 4] = updates;
  }
  const values = memory.takeFloats(rows.flatMap(({ weights }) => [...weights]));
  kernels.rowsWrite(addresses, rows.length, dim, CODES[dtype], values);
  return addresses;
}

describe.each(DTYPES)("rows of %s", (dtype) => {
  test("are written as they should be, and read as they stand", () => {
    fc.assert(
      fc.property(someRows, ({ dim, rows }) => {
        memory.clear();
        const addresses = write(open(dtype, dim), rows, { dtype, dim });
        const bytes = valueBytes(dtype, dim);
        const out = memory.take(4 * dim * rows.length);
        kernels.rowsRead(addresses, rows.length, dim, CODES[dtype], out);
        for (const [i, row] of rows.entries()) {
          const at = (memory.words[addresses / 4 + i]! & ~7) + ROW_HEADER_BYTES;
          const stands = memory.bytes.slice(at, at + bytes);
          expect(stands).toEqual(chanced(row.weights, dtype, row));
          const read = memory.bytes.slice(out + 4 * dim * i, out + 4 * dim * (i + 1));
          expect(read).toEqual(coded(decoded(stands, dtype, dim), "float32"));
        }
      }),
      { numRuns: 200 },
    );
  });

  test.each(DTYPES.filter((to) => to === dtype || to === "float32" || dtype === "float32"))(
    "are gathered as %s, and the places of absent keys stay as they are",
    (to) => {
      fc.assert(
        fc.property(someRows, fc.array(fc.nat(20), { maxLength: 200 }), ({ dim, rows }, picks) => {
          memory.clear();
          const table = open(dtype, dim);
          write(table, rows, { dtype, dim });
          const asked = picks.map((pick) => rows[pick]);
          const keys = memory.takeWords(wordsOf(asked.map((row, i) => row?.key ?? (1n << 63n) + BigInt(i))));
          const bytes = valueBytes(to, dim);
          const n = picks.length;
          const out = memory.take(n * bytes + 8);
          const misses = memory.take(4 * n);
          const absent = kernels.tableGather(table.at, keys, n, dim, CODES[dtype], out, CODES[to], misses);
          const garbage = new Uint8Array(bytes).fill(0xa5);
          for (const [i, row] of asked.entries()) {
            const expected = row ? chanced(row.weights, dtype, row) : garbage;
            const sent = row && to !== dtype ? coded(decoded(expected, dtype, dim), to) : expected;
            expect(memory.bytes.slice(out + i * bytes, out + (i + 1) * bytes)).toEqual(sent);
          }
          expect(memory.bytes.slice(out + n * bytes, out + n * bytes + 8)).toEqual(new Uint8Array(8).fill(0xa5));
          const missing = asked.flatMap((row, i) => (row ? [] : [i]));
          expect([...memory.wordsAt(misses, absent)]).toEqual(missing);
        }),
        { numRuns: 200 },
      );
    },
  );
});

test.each(["bfloat16", "int8"] as const)("small updates of a row of %s add up to their sum on average", (dtype) => {
  const dim = 64;
  const table = open(dtype, dim);
  const weights = Float32Array.from({ length: dim }, (_, c) => (c === 0 ? 2 : 1));
  const rows = [{ key: 77n, updates: 0, weights }];
  const addresses = write(table, rows, { dtype, dim });
  const values = memory.take(4 * dim);
  const steps = 1000;
  const each = 1 / 4096; // of a step 1 / 128 (bfloat16) and about 1 / 255 (int8)
  for (let step = 1; step <= steps; step++) {
    kernels.rowsTouched(addresses, 1, step);
    kernels.rowsRead(addresses, 1, dim, CODES[dtype], values);
    for (let c = 1; c < dim; c++) memory.floats[values / 4 + c]! += each;
    kernels.rowsWrite(addresses, 1, dim, CODES[dtype], values);
  }
  kernels.rowsRead(addresses, 1, dim, CODES[dtype], values);
  const mean = memory
    .floatsAt(values, dim)
    .subarray(1)
    .reduce((sum, w) => sum + w / (dim - 1), 0);
  // The standard deviation of the mean of 63 such walks is below 0.01.
  expect(Math.abs(mean - 1 - steps * each)).toBeLessThan(0.04);
});

test("rowsTouched() counts updates up to 2³² − 1 and notes the step", () => {
  const table = open("float32", 1);
  const addresses = memory.takeWords(table.insert([1n, 2n]));
  const first = (memory.words[addresses / 4]! & ~7) / 4;
  memory.words[first + UPDATES_AT / 4] = 0xffff_fffe;
  for (const step of [5, 6, 7]) kernels.rowsTouched(addresses, 2, step);
  expect([...memory.words.subarray(first, first + 4)]).toEqual([1, 0, 0xffff_ffff, 7]);
  const second = (memory.words[addresses / 4 + 1]! & ~7) / 4;
  expect([...memory.words.subarray(second, second + 4)]).toEqual([2, 0, 3, 7]);
});
