/** Tables with the same columns, one below the other, and rows picked out of a table. */
import { ClusterError } from "../../errors.ts";
import type { BadRow, Column, ColumnTable } from "../spec/dataset.ts";

type Flat = Exclude<Column, { kind: "list" }>;

/**
 * The rows of all `tables` in order, as one table.
 *
 * @throws {ClusterError} BAD_DATA: a column is of another sort in one of them
 */
export function concatTables(tables: readonly ColumnTable[]): ColumnTable {
  const [first] = tables;
  if (first === undefined) return { rows: 0, columns: new Map() };
  if (tables.length === 1) return first;
  const columns = new Map<string, Column>();
  for (const name of first.columns.keys()) {
    columns.set(
      name,
      concatColumns(
        name,
        tables.map((table) => table.columns.get(name)!),
      ),
    );
  }
  const badRows: BadRow[] = [];
  let rows = 0;
  for (const table of tables) {
    for (const bad of table.badRows ?? []) badRows.push({ ...bad, row: rows + bad.row });
    rows += table.rows;
  }
  return {
    rows,
    columns,
    ...(badRows.length > 0 ? { badRows } : {}),
    placeOf: (row) => placeIn(tables, row),
  };
}

/** Rows `rows` of the column, in the order given. */
export function pickRows(column: Column, rows: Uint32Array): Column {
  switch (column.kind) {
    case "number":
      return { kind: "number", values: gathered(column.values, rows, new Float64Array(rows.length)) };
    case "int64": {
      const values = new BigInt64Array(rows.length);
      copyPairs(column.values, rows, values);
      const { missing } = column;
      return {
        kind: "int64",
        values,
        ...(missing === undefined ? {} : { missing: gathered(missing, rows, new Uint8Array(rows.length)) }),
      };
    }
    case "string":
      // Only the entries in use: a batch of a large table must not carry, and hash, its whole dictionary.
      return { kind: "string", ...usedEntries(column, rows) };
    case "list": {
      const offsets = new Uint32Array(rows.length + 1);
      for (let i = 0; i < rows.length; i++) {
        offsets[i + 1] = offsets[i]! + column.offsets[rows[i]! + 1]! - column.offsets[rows[i]!]!;
      }
      const elements = new Uint32Array(offsets.at(-1)!);
      for (let i = 0, at = 0; i < rows.length; i++) {
        for (let from = column.offsets[rows[i]!]!; from < column.offsets[rows[i]! + 1]!; from++) elements[at++] = from;
      }
      return { kind: "list", offsets, elements: pickRows(column.elements, elements) as Flat };
    }
    default:
      return column satisfies never;
  }
}

/** A loop of its own, for `from` with a function goes element by element through the iterator protocol. */
function gathered<T extends Float64Array | Uint32Array | Uint8Array>(from: T, rows: Uint32Array, to: T): T {
  for (let i = 0; i < rows.length; i++) to[i] = from[rows[i]!]!;
  return to;
}

/** As words: a bigint per row would be allocated. */
function copyPairs(from: BigInt64Array, rows: Uint32Array, to: BigInt64Array): void {
  const [source, target] = [from, to].map((each) => new Uint32Array(each.buffer, each.byteOffset, 2 * each.length));
  for (let i = 0; i < rows.length; i++) {
    target![2 * i] = source![2 * rows[i]!]!;
    target![2 * i + 1] = source![2 * rows[i]! + 1]!;
  }
}

function usedEntries({ codes, dictionary }: Extract<Column, { kind: "string" }>, rows: Uint32Array) {
  if (dictionary.length <= rows.length) {
    return { codes: gathered(codes, rows, new Uint32Array(rows.length)), dictionary };
  }
  const codeOf = new Map<number, number>();
  const picked = new Uint32Array(rows.length);
  const used: string[] = [];
  for (let i = 0; i < rows.length; i++) {
    const old = codes[rows[i]!]!;
    let code = codeOf.get(old);
    if (code === undefined) {
      code = used.push(dictionary[old]!) - 1;
      codeOf.set(old, code);
    }
    picked[i] = code;
  }
  return { codes: picked, dictionary: used };
}

function placeIn(tables: readonly ColumnTable[], row: number): string {
  let rest = row;
  for (const table of tables) {
    if (rest < table.rows) return table.placeOf?.(rest) ?? `row ${row}`;
    rest -= table.rows;
  }
  return `row ${row}`;
}

function concatColumns(name: string, parts: readonly Column[]): Column {
  const [first] = parts;
  for (const part of parts) {
    if (part.kind !== first!.kind) {
      throw new ClusterError(
        "BAD_DATA",
        `column "${name}" is of sort ${first!.kind} in one file and ${part.kind} in another: write all files alike`,
      );
    }
  }
  if (first!.kind !== "list") return concatFlat(parts as readonly Flat[]);
  const lists = parts as readonly Extract<Column, { kind: "list" }>[];
  const offsets = new Uint32Array(1 + lists.reduce((rows, list) => rows + list.offsets.length - 1, 0));
  let row = 0;
  let base = 0;
  for (const list of lists) {
    for (let i = 1; i < list.offsets.length; i++) offsets[++row] = base + list.offsets[i]! - list.offsets[0]!;
    base = offsets[row]!;
  }
  return {
    kind: "list",
    offsets,
    elements: concatColumns(
      name,
      lists.map((list) => list.elements),
    ) as Flat,
  };
}

function concatFlat(parts: readonly Flat[]): Flat {
  const length = parts.reduce((rows, part) => rows + lengthOf(part), 0);
  const { kind } = parts[0]!;
  switch (kind) {
    case "number": {
      const values = new Float64Array(length);
      eachAt(parts, (part, at) => values.set(part.values as Float64Array, at));
      return { kind: "number", values };
    }
    case "int64": {
      const values = new BigInt64Array(length);
      const missing = parts.some((part) => part.kind === "int64" && part.missing !== undefined)
        ? new Uint8Array(length)
        : undefined;
      eachAt(parts, (part, at) => {
        values.set(part.values as BigInt64Array, at);
        if (part.kind === "int64" && part.missing !== undefined) missing!.set(part.missing, at);
      });
      return { kind: "int64", values, ...(missing === undefined ? {} : { missing }) };
    }
    case "string": {
      const codes = new Uint32Array(length);
      const codeOf = new Map<string, number>();
      let at = 0;
      for (const part of parts as readonly Extract<Flat, { kind: "string" }>[]) {
        const recoded = Uint32Array.from(part.dictionary, (value) => {
          if (!codeOf.has(value)) codeOf.set(value, codeOf.size);
          return codeOf.get(value)!;
        });
        for (const code of part.codes) codes[at++] = recoded[code]!;
      }
      return { kind: "string", codes, dictionary: [...codeOf.keys()] };
    }
    default:
      return kind satisfies never;
  }
}

type Valued = Exclude<Flat, { kind: "string" }>;

function eachAt(parts: readonly Flat[], take: (part: Valued, at: number) => void): void {
  let at = 0;
  for (const part of parts) {
    take(part as Valued, at);
    at += lengthOf(part);
  }
}

const lengthOf = (column: Flat): number => (column.kind === "string" ? column.codes.length : column.values.length);
