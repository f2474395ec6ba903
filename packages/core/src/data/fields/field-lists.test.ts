import { describe, expect, it } from "vitest";
import type { FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import type { RowFaults } from "./row-faults.ts";
import { compile, keysOf, keysOfField } from "./test-fields.ts";

describe("lists", () => {
  const strings = (...values: string[]): Extract<Column, { kind: "string" }> => ({
    kind: "string",
    codes: Uint32Array.from(values.keys()),
    dictionary: values,
  });
  const table: ColumnTable = {
    rows: 3,
    columns: new Map<string, Column>([
      ["genres", { kind: "string", codes: Uint32Array.of(0, 1, 2), dictionary: ["a|b||a", "", "c"] }],
      ["tags", { kind: "list", offsets: Uint32Array.of(0, 2, 2, 3), elements: strings("a", "b", "c") }],
      [
        "ids",
        {
          kind: "list",
          offsets: Uint32Array.of(0, 2, 2, 3),
          elements: { kind: "int64", values: BigInt64Array.of(7n, -1n, 2n ** 62n) },
        },
      ],
      [
        "weights",
        {
          kind: "list",
          offsets: Uint32Array.of(0, 2, 2, 3),
          elements: { kind: "number", values: Float64Array.of(0.5, 2, 4) },
        },
      ],
      ["tag", strings("a", "b", "c")],
      ["n", { kind: "number", values: Float64Array.of(4, 5, 6) }],
    ]),
  };
  const column = (name: string): FieldSpec => ({ kind: "column", column: name });
  const listsOf = (spec: FieldSpec, rows = Uint32Array.of(0, 1, 2)): { lists: bigint[][]; faults: RowFaults } => {
    const { compiler, faults } = compile(table);
    const { offsets, keys } = compiler.keyLists({ field: "f", place: 'field "f"', spec })(compiler.batch(rows));
    const all = keysOf(keys);
    return { lists: Array.from(rows, (_, b) => all.slice(offsets[b], offsets[b + 1])), faults };
  };
  const [a, b, c] = keysOfField(table, "f", column("tag")).keys as [bigint, bigint, bigint];

  it("of strings, of a split string and of one string have the keys of single strings", () => {
    expect(listsOf(column("tags")).lists).toEqual([[a, b], [], [c]]);
    expect(listsOf({ kind: "split", column: "genres", separator: "|" }).lists).toEqual([[a, b, a], [], [c]]);
    expect(listsOf(column("tag")).lists).toEqual([[a], [b], [c]]);
    const hashed = keysOfField(table, "f", { kind: "hash", of: column("tag"), salt: "s" }).keys;
    expect(listsOf({ kind: "hash", of: column("tags"), salt: "s" }).lists).toEqual([
      [hashed[0], hashed[1]],
      [],
      [hashed[2]],
    ]);
  });

  it("come in the order of the rows asked for, as often as asked", () => {
    expect(listsOf(column("ids"), Uint32Array.of(2, 0, 1, 2)).lists).toEqual([
      [2n ** 62n],
      [7n, 2n ** 64n - 1n],
      [],
      [2n ** 62n],
    ]);
    expect(listsOf(column("ids"), new Uint32Array(0)).lists).toEqual([]);
  });

  it("that are empty are filled by a default", () => {
    expect(listsOf({ kind: "withDefault", of: column("tags"), value: "b" }).lists).toEqual([[a, b], [b], [c]]);
    expect(listsOf({ kind: "withDefault", of: column("ids"), value: 5 }).lists[1]).toEqual([5n]);
    const split: FieldSpec = { kind: "split", column: "genres", separator: "|" };
    expect(() => listsOf({ kind: "withDefault", of: split, value: 1 })).toThrow("gives strings, and its default is 1");
    expect(listsOf({ kind: "withDefault", of: split, value: "a" }).lists[1]).toEqual([a]);
  });

  it("of numbers are rows of a fixed width, or lists of any", () => {
    const { compiler, faults } = compile(table);
    const rows = Uint32Array.of(2, 0, 1);
    const lists = compiler.numberLists({ place: "w", spec: column("weights") });
    const single = compiler.numberLists({ place: "w", spec: column("n") });
    const batch = compiler.batch(rows);
    expect(lists(batch)).toEqual({ offsets: Uint32Array.of(0, 1, 3, 3), values: Float32Array.of(4, 0.5, 2) });
    expect(single(batch)).toEqual({ offsets: Uint32Array.of(0, 1, 2, 3), values: Float32Array.of(6, 4, 5) });
    expect(faults.count).toBe(0);

    const spec: FieldSpec = { kind: "withDefault", of: { kind: "log", of: column("weights"), plus: 0 }, value: -1 };
    const numbers = compiler.numbers({ place: 'field "w"', spec, width: 2 });
    expect([...numbers(compiler.batch(rows))]).toEqual([0, 0, Math.log(0.5), Math.log(2), -1, -1].map(Math.fround));
    expect(faults.first).toEqual([
      { row: 2, place: "row 2", fault: 'field "w" is a list of 1 numbers; expected 2, as its input\'s shape says' },
    ]);
  });

  it("with an element that makes no key mark their row", () => {
    expect(listsOf(column("weights")).faults.first).toEqual([
      {
        row: 0,
        place: "row 0",
        fault:
          'field "f": column "weights" is 0.5; expected an integer key (whole, within ±2^53): use bucket(), quantiles() or standardise() (element 0 of its list)',
      },
    ]);
  });
});
