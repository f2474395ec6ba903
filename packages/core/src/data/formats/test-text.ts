/** Reads text as the workers do, its chunks cut anywhere, for tests. */
import type { BadRow, ColumnTable } from "../spec/dataset.ts";
import { RecordSplitter } from "./record-splitter.ts";
import { openTextFormat, type TextFormatSpec } from "./text-format.ts";

export const csvFormat = (o: Partial<Extract<TextFormatSpec, { kind: "csv" }>> = {}): TextFormatSpec => ({
  kind: "csv",
  delimiter: ",",
  header: true,
  types: {},
  missing: [],
  ...o,
});

export function readText(
  format: TextFormatSpec,
  text: string | Uint8Array,
  { cuts = [], columns }: { cuts?: readonly number[]; columns?: readonly string[] } = {},
): ColumnTable & { badRows: BadRow[] } {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const opened = openTextFormat({ format, sample: bytes, name: "t", columns });
  const parser = opened.parser();
  const splitter = new RecordSplitter({ grammar: opened.grammar(), name: "t" });
  const places: string[] = [];
  let isHeader = opened.hasHeader;
  const drain = (): void => {
    while (splitter.next()) {
      if (!isHeader) {
        parser.add(splitter.bytes, splitter.from, splitter.to);
        places.push(`t:${splitter.line}`);
      }
      isHeader = false;
    }
    parser.flush();
  };
  const ends = [...new Set(cuts.filter((cut) => cut < bytes.length)), bytes.length].toSorted((a, b) => a - b);
  let from = 0;
  for (const end of ends) {
    splitter.push(bytes.subarray(from, end));
    drain();
    from = end;
  }
  splitter.finish();
  drain();
  const { table, faults } = parser.take();
  return { ...table, badRows: faults.map(({ row, fault }) => ({ row, place: places[row]!, fault })) };
}

/** A column as plain values: undefined where one is missing. */
export function valuesOf(table: ColumnTable, name: string): unknown[] {
  const column = table.columns.get(name)!;
  switch (column.kind) {
    case "number":
      return Array.from(column.values, (value) => (Number.isNaN(value) ? undefined : value));
    case "int64":
      return Array.from(column.values, (value, row) => (column.missing?.[row] === 1 ? undefined : value));
    case "string":
      return Array.from(column.codes, (code) => column.dictionary[code]);
    case "list": {
      const elements = valuesOf({ rows: 0, columns: new Map([["", column.elements]]) }, "");
      return Array.from({ length: column.offsets.length - 1 }, (_, row) =>
        elements.slice(column.offsets[row], column.offsets[row + 1]),
      );
    }
    default:
      return column satisfies never;
  }
}
