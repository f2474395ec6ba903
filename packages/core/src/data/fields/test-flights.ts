/** Five flights, for the tests of what is made of columns. */
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { microsOf } from "./instant.ts";

export const strings = (values: string[]): Column => {
  const dictionary = [...new Set(values)];
  return { kind: "string", codes: Uint32Array.from(values, (value) => dictionary.indexOf(value)), dictionary };
};
export const int64 = (values: (bigint | number)[]): Column => ({
  kind: "int64",
  values: BigInt64Array.from(values, BigInt),
});

export const columns: Record<string, Column> = {
  origin: strings(["ATL", "SEA", "ATL", "SFO", "SEA"]),
  destination: strings(["SEA", "ATL", "SEA", "ATL", "ATL"]),
  distance: int64([100, 200, 100, 400, 200]),
  delay: int64([0, 15, 14, 60, -3]),
  date: int64(["2001-06-01T10:00", "2001-06-03T11:00", "2001-06-02T12:00", "2001-06-04", "2001-06-02"].map(microsOf)),
};
export const tableWith = (changes: Record<string, Column | undefined> = {}): ColumnTable => ({
  rows: 5,
  columns: new Map(
    Object.entries({ ...columns, ...changes }).filter((entry): entry is [string, Column] => entry[1] !== undefined),
  ),
});
