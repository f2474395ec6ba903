/** Parts of a reply become the rows of its pull, whatever they are cut into and in whatever dtype they come. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeRows, encodeRows, type ValueDtype } from "../compression/index.ts";
import { ProtocolError } from "../errors.ts";
import { KernelMemory } from "../kernels/index.ts";
import { frame, type Frame } from "../wire/index.ts";
import { PulledRows } from "./pulled-rows.ts";

const KERNELS = new KernelMemory();

function part(at: { cursor: number; values: readonly number[]; partial?: boolean; partitions?: number[] }): Frame {
  const { cursor, values, partial = false, partitions = [] } = at;
  return frame({
    opcode: "pullReply",
    cursor,
    partial,
    values: Float32Array.from(values),
    partitions: Uint32Array.from(partitions),
  });
}

function pulledOf(floats: number): PulledRows {
  return new PulledRows({
    rows: new Float32Array(floats),
    counts: Uint32Array.of(floats),
    dims: Uint32Array.of(1),
  });
}

describe("a part is refused", () => {
  it.each<[string, Frame[], string]>([
    ["that lies behind its rows", [part({ cursor: 2, values: [1, 2, 3] })], "values 2 to 5 where 0 to 4 are wanted"],
    [
      "that comes twice",
      [part({ cursor: 0, values: [1, 2], partial: true }), part({ cursor: 1, values: [3] })],
      "values 1 to 2 where 2 to 4 are wanted",
    ],
    ["that is the last and too short", [part({ cursor: 0, values: [1, 2, 3] })], "ends at value 3, its keys need 4"],
    [
      "that is the last where one is missing",
      [part({ cursor: 0, values: [1], partial: true }), part({ cursor: 2, values: [3, 4] })],
      "its keys need 4",
    ],
    [
      "whose bytes are no whole rows",
      [frame({ opcode: "pullReply", dtype: "int8", coded: new Uint8Array(13) })],
      "does not fit its keys",
    ],
  ])("%s", (_, parts, message) => {
    const pulled = pulledOf(4);
    const take = () => parts.map((each) => pulled.take(each));
    expect(take).toThrow(ProtocolError);
    expect(() => pulledAgain(parts)).toThrow(message);
    expect(pulled.whole).toBe(false);
  });

  function pulledAgain(parts: readonly Frame[]): void {
    const pulled = pulledOf(4);
    for (const each of parts) pulled.take(each);
  }
});

it("a reply that was asked for again begins anew", () => {
  const pulled = pulledOf(4);
  pulled.take(part({ cursor: 0, values: [9, 9], partial: true }));
  expect(pulled.take(part({ cursor: 0, values: [1], partial: true }))).toBe(false);
  expect(pulled.take(part({ cursor: 1, values: [2, 3, 4] }))).toBe(true);
  expect([...pulled.rows]).toEqual([1, 2, 3, 4]);
});

it("stale segments leave gaps, and the rows are not whole", () => {
  const pulled = pulledOf(4);
  expect(pulled.take(part({ cursor: 2, values: [3, 4], partial: true }))).toBe(false);
  expect(pulled.take(part({ cursor: 4, values: [], partitions: [5] }))).toBe(false);
  expect([pulled.whole, ...pulled.rows]).toEqual([false, 0, 0, 3, 4]);
});

it("rows that were given away are not written to", () => {
  const pulled = pulledOf(2);
  pulled.close();
  expect(pulled.take(part({ cursor: 0, values: [1, 2] }))).toBe(false);
  expect([...pulled.rows]).toEqual([0, 0]);
});

it("parts of whole segments give the rows, in every dtype", () => {
  const shapes = fc.record({
    dims: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
    S: fc.integer({ min: 1, max: 5 }),
    cuts: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    dtype: fc.constantFrom<ValueDtype>("float32", "bfloat16", "int8"),
  });
  fc.assert(
    fc.property(shapes, fc.infiniteStream(fc.nat(3)), ({ dims: widths, S, cuts, dtype }, some) => {
      const dims = Uint32Array.from(widths);
      const T = dims.length;
      const counts = Uint32Array.from({ length: S * T }, () => some.next().value as number);
      const floatsOf = (s: number): number => widths.reduce((n, dim, t) => n + counts[s * T + t]! * dim, 0);
      const floats = Array.from({ length: S }, (_, s) => floatsOf(s)).reduce((a, b) => a + b, 0);
      const values = Float32Array.from({ length: floats }, (_, i) => Math.sin(i));
      const pulled = new PulledRows({ rows: new Float32Array(floats), counts, dims });
      let cursor = 0;
      let whole = false;
      for (let s = 0, from = 0; s < S; s++) {
        if (s < S - 1 && !cuts[s]) continue;
        const widthsOf = { counts: counts.subarray(from * T, (s + 1) * T), dims };
        let end = cursor;
        for (; from <= s; from++) end += floatsOf(from);
        const of = values.subarray(cursor, end);
        const sent =
          dtype === "float32"
            ? { dtype, values: of }
            : { dtype, coded: encodeRows(KERNELS, of, { dtype, ...widthsOf }) };
        whole = pulled.take(frame({ opcode: "pullReply", cursor, partial: s < S - 1, ...sent }));
        cursor = end;
      }
      expect(whole).toBe(true);
      const coded = encodeRows(KERNELS, values, { dtype, counts, dims });
      expect(pulled.rows).toEqual(decodeRows(KERNELS, coded, { dtype, counts, dims, first: 0 }));
    }),
  );
});
