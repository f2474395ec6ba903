import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Column, ColumnTable } from "./spec/dataset.ts";
import { murmur128 } from "./fields/murmur3.ts";
import { decodeTable, encodeTable } from "./table-file.ts";

type ScalarColumn = Exclude<Column, { kind: "list" }>;

const some = <Value>(value: fc.Arbitrary<Value>, length: number): fc.Arbitrary<Value[]> =>
  fc.array(value, { minLength: length, maxLength: length });

const someScalars = (rows: number): fc.Arbitrary<ScalarColumn> =>
  fc.oneof(
    some(fc.double(), rows).map((values): ScalarColumn => ({ kind: "number", values: Float64Array.from(values) })),
    fc
      .tuple(
        some(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), rows),
        some(fc.integer({ min: 0, max: 1 }), rows),
        fc.boolean(),
      )
      .map(([values, missing, hasMissing]): ScalarColumn => {
        const column = { kind: "int64" as const, values: BigInt64Array.from(values) };
        return hasMissing ? { ...column, missing: Uint8Array.from(missing) } : column;
      }),
    fc
      .tuple(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 5 }), some(fc.nat(), rows))
      .map(([dictionary, codes]): ScalarColumn => ({
        kind: "string",
        codes: Uint32Array.from(codes, (code) => code % dictionary.length),
        dictionary,
      })),
  );

const someColumn = (rows: number): fc.Arbitrary<Column> =>
  fc.oneof(
    someScalars(rows),
    some(fc.integer({ min: 0, max: 3 }), rows).chain((lengths) => {
      const offsets = new Uint32Array(rows + 1);
      for (const [row, length] of lengths.entries()) offsets[row + 1] = offsets[row]! + length;
      return someScalars(offsets[rows]!).map((elements): Column => ({ kind: "list", offsets, elements }));
    }),
  );

const someTable: fc.Arbitrary<ColumnTable> = fc.integer({ min: 0, max: 6 }).chain((rows) =>
  fc
    .record({
      columns: fc.dictionary(fc.string(), someColumn(rows), { maxKeys: 4 }),
      testFrom: fc.option(fc.integer({ min: 0, max: rows }), { nil: undefined }),
    })
    .map(({ columns, testFrom }) => ({
      rows,
      columns: new Map(Object.entries(columns)),
      ...(testFrom === undefined ? {} : { testFrom }),
      ...(rows < 2 ? {} : { badRows: [{ row: 1, place: "a.csv:3", fault: "2 cells; expected 5" }] }),
    })),
);

/** The bytes with a checksum that is right again. */
function signed(bytes: Uint8Array): Uint8Array {
  const words = new Uint32Array(bytes.buffer, 0, 8);
  const digest = new Uint32Array(4);
  murmur128(Uint32Array.of(words[2]! & 0xffff, words[2]! >>> 16, 0, 0), bytes.subarray(32), 0, digest);
  words.set(digest, 4);
  return bytes;
}

describe("a table file", () => {
  const table: ColumnTable = {
    rows: 2,
    columns: new Map<string, Column>([
      ["name", { kind: "string", codes: Uint32Array.of(1, 0), dictionary: ["é", "a"] }],
      [
        "tags",
        { kind: "list", offsets: Uint32Array.of(0, 0, 1), elements: { kind: "number", values: Float64Array.of(7) } },
      ],
    ]),
  };

  it("that is cut off anywhere is refused", () => {
    const bytes = encodeTable(table);
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeTable(bytes.slice(0, length))).toThrow(
        expect.objectContaining({ code: "BAD_DATA", message: expect.stringContaining("not a whole table file") }),
      );
  });

  it("with any changed byte is refused", () => {
    const bytes = encodeTable(table);
    for (let at = 0; at < bytes.length; at++) {
      if (at >= 12 && at < 16) continue; // reserved
      const changed = bytes.slice();
      changed[at]! ^= 0x10;
      expect(() => decodeTable(changed), `byte ${at}`).toThrow(expect.objectContaining({ code: "BAD_DATA" }));
    }
  });

  it("of another kind or version says so", () => {
    expect(() => decodeTable(new Uint8Array(5))).toThrow("its 5 bytes are too few to be one");
    expect(() => decodeTable(new TextEncoder().encode("a,b\n".repeat(20)))).toThrow('it does not begin with "VTBL"');
    const later = encodeTable(table);
    later[4] = 9;
    expect(() => decodeTable(later)).toThrow("it has version 9, and this release reads version 1");
  });

  it("whose header lies is refused, though its checksum is right", () => {
    const lies: [string, string, string][] = [
      ['"rows":2', '"rows":9', "not a whole table file"],
      ['"entries":2', '"entries":1', 'column "name": codes[0] is 1, of 1 dictionary entries'],
      ['"entries":2', '"entries":9', "not a whole table file"],
      ['"textBytes":3', '"textBytes":1', "dictionary entry 0 ends at 2, after 0 of 1 bytes"],
      ['"length":1', '"length":0', 'column "tags": offsets[2] is 1, of 0 elements'],
      ['"name":"tags"', '"name":"name"', 'it has two columns "name"'],
      ['"number"', '"nunber"', "its header cannot be read"],
    ];
    for (const [from, to, message] of lies) {
      const text = new TextDecoder("latin1").decode(encodeTable(table)).replace(from, to);
      const forged = signed(Uint8Array.from(text, (char) => char.charCodeAt(0)));
      expect(() => decodeTable(forged), to).toThrow(message);
    }
  });

  it("of random bytes with a right checksum gives a table or BAD_DATA, nothing else", () => {
    fc.assert(
      fc.property(
        someTable,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
        (made, changes) => {
          const bytes = encodeTable(made);
          for (const [at, byte] of changes) bytes[8 + (at % (bytes.length - 8))] = byte;
          try {
            decodeTable(signed(bytes));
          } catch (error) {
            expect(error).toMatchObject({ code: "BAD_DATA" });
          }
        },
      ),
    );
  });

  it("gives back any table", () => {
    fc.assert(
      fc.property(someTable, fc.integer({ min: 0, max: 8 }), (made, shift) => {
        const bytes = encodeTable(made);
        const moved = new Uint8Array(bytes.length + shift);
        moved.set(bytes, shift);
        expect(decodeTable(moved.subarray(shift))).toEqual(made);
      }),
    );
  });
});
