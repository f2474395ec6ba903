/**
 * Columns out of plain arrays, as code hands them in: numbers, 64-bit integers, strings, or a list of one of them for
 * each row.
 */
import { show } from "./author-argument.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { quoted } from "../spec/nearest-name.ts";

type ScalarColumn = Exclude<Column, { kind: "list" }>;
type Scalar = number | bigint | string | boolean | null | undefined;
type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array;

/** One value a row; or, where the elements are arrays, one list a row, nested ones flattened. null is a missing value. */
export type ColumnArray = NumberArray | BigInt64Array | BigUint64Array | readonly (Scalar | ListArray)[];
export type ListArray = NumberArray | BigInt64Array | BigUint64Array | readonly (Scalar | ListArray)[];

/**
 * The table of these columns. Typed arrays of 64 bits are taken as they are, not copied.
 *
 * @throws {TypeError} columns of different lengths, or values of different sorts in one
 * @throws {RangeError} a column of whole numbers with one beyond ±2^53, whose last digits are lost already: give bigints
 */
export function tableOf(arrays: Readonly<Record<string, ColumnArray>>): ColumnTable {
  const names = Object.keys(arrays);
  const first = names[0];
  if (first === undefined) throw new TypeError("tableOf(): no column; give at least one, as { x: [1, 2, 3] }");
  const rows = lengthOf(arrays[first], first);
  const columns = new Map<string, Column>();
  for (const name of names) {
    const length = lengthOf(arrays[name], name);
    if (length !== rows) {
      throw new TypeError(
        `tableOf(): column "${name}" has ${length} rows and "${first}" ${rows}; all columns must be of one length`,
      );
    }
    columns.set(name, columnOf(arrays[name]!, name));
  }
  return { rows, columns };
}

function lengthOf(values: unknown, name: string): number {
  if (Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView)))
    return (values as ArrayLike<unknown>).length;
  throw new TypeError(`tableOf(): column "${name}" is ${show(values)}; expected an array of values, one for each row`);
}

function columnOf(values: ColumnArray, name: string): Column {
  if (!Array.isArray(values)) return scalarColumn(values as NumberArray | BigInt64Array, name, (at) => `row ${at}`);
  return values.some(isArray) ? listColumn(values as readonly (Scalar | ListArray)[], name) : scalarsOf(values, name);
}

function scalarsOf(values: readonly Scalar[], name: string): ScalarColumn {
  return scalarColumn(values, name, (at) => `row ${at}`);
}

function listColumn(rows: readonly (Scalar | ListArray)[], name: string): Column {
  const offsets = new Uint32Array(rows.length + 1);
  const elements: Scalar[] = [];
  for (const [row, list] of rows.entries()) {
    if (list !== null && list !== undefined) {
      if (!isArray(list))
        throw new TypeError(`tableOf(): column "${name}", row ${row} is ${show(list)}, and other rows are lists`);
      append(list, elements);
    }
    offsets[row + 1] = elements.length;
  }
  const rowAt = (at: number): number => offsets.findLastIndex((start) => start <= at);
  return {
    kind: "list",
    offsets,
    elements: scalarColumn(elements, name, (at) => `row ${rowAt(at)}, element ${at - offsets[rowAt(at)]!}`),
  };
}

function append(list: ListArray, elements: Scalar[]): void {
  for (const value of list as Iterable<Scalar | ListArray>) {
    if (isArray(value)) append(value, elements);
    else elements.push(value);
  }
}

function isArray(value: unknown): value is ListArray {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

type Place = (at: number) => string;

function scalarColumn(
  values: readonly Scalar[] | NumberArray | BigInt64Array | BigUint64Array,
  name: string,
  place: Place,
): ScalarColumn {
  if (values instanceof BigInt64Array) return { kind: "int64", values };
  if (values instanceof BigUint64Array)
    return { kind: "int64", values: new BigInt64Array(values.buffer, values.byteOffset, values.length) };
  if (values instanceof Float64Array) return numberColumn(values, name, place);
  if (!Array.isArray(values)) return { kind: "number", values: Float64Array.from(values as NumberArray) };
  return columnOfSort(values as readonly Scalar[], {
    name,
    place,
    sort: sortIn(values as readonly Scalar[], name, place),
  });
}

type Sort = "number" | "bigint" | "string";

/** The sort of all values that are there; "number" where none is. */
function sortIn(values: readonly Scalar[], name: string, place: Place): Sort {
  let sort: Sort | undefined;
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value === null || value === undefined) continue;
    const found = typeof value === "boolean" ? "number" : typeof value;
    if (found !== "number" && found !== "bigint" && found !== "string")
      throw new TypeError(
        `tableOf(): column "${name}", ${place(at)} is ${show(value)}; expected a number, bigint or string`,
      );
    sort ??= found;
    if (found === sort) continue;
    throw new TypeError(
      `tableOf(): column "${name}", ${place(at)} is the ${found} ${show(String(value))}, and values before it are ` +
        `${sort}s; a column holds values of one of the sorts ${quoted(["number", "bigint", "string"])}`,
    );
  }
  return sort ?? "number";
}

function columnOfSort(
  values: readonly Scalar[],
  { name, place, sort }: { name: string; place: Place; sort: Sort },
): ScalarColumn {
  switch (sort) {
    case "number":
      return numberColumn(
        Float64Array.from(values, (value) => Number(value ?? Number.NaN)),
        name,
        place,
      );
    case "bigint":
      return integerColumn(values as readonly (bigint | null | undefined)[], name, place);
    case "string":
      return stringColumn(values as readonly (string | null | undefined)[]);
    default:
      return sort satisfies never;
  }
}

/** A column of whole numbers may be one of ids, whose last digits matter; one with fractions is none. */
function numberColumn(values: Float64Array, name: string, place: Place): ScalarColumn {
  let unsafeAt = -1;
  for (let at = 0; at < values.length; at++) {
    const value = values[at]!;
    if (!Number.isFinite(value) || Number.isSafeInteger(value)) continue;
    if (!Number.isInteger(value)) return { kind: "number", values };
    if (unsafeAt < 0) unsafeAt = at;
  }
  if (unsafeAt < 0) return { kind: "number", values };
  throw new RangeError(
    `tableOf(): column "${name}", ${place(unsafeAt)} is ${values[unsafeAt]}, an integer beyond ±2^53 that a number ` +
      `cannot hold exactly; give the column as bigints or a BigInt64Array`,
  );
}

function integerColumn(values: readonly (bigint | null | undefined)[], name: string, place: Place): ScalarColumn {
  const integers = new BigInt64Array(values.length);
  let missing: Uint8Array | undefined;
  for (const [at, value] of values.entries()) {
    if (value === null || value === undefined) {
      missing ??= new Uint8Array(values.length);
      missing[at] = 1;
      continue;
    }
    if (value < -(2n ** 63n) || value >= 2n ** 64n)
      throw new RangeError(`tableOf(): column "${name}", ${place(at)} is ${value}, which takes more than 64 bits`);
    integers[at] = value;
  }
  return missing === undefined ? { kind: "int64", values: integers } : { kind: "int64", values: integers, missing };
}

function stringColumn(values: readonly (string | null | undefined)[]): ScalarColumn {
  const codeOf = new Map<string, number>();
  const codes = new Uint32Array(values.length);
  for (const [at, value] of values.entries()) {
    const text = value ?? "";
    let code = codeOf.get(text);
    if (code === undefined) {
      code = codeOf.size;
      codeOf.set(text, code);
    }
    codes[at] = code;
  }
  return { kind: "string", codes, dictionary: [...codeOf.keys()] };
}
