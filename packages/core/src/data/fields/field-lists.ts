/**
 * Columns of lists. The elements of all lists make a table of their own, so that a field over lists is the same field
 * over that table, and a batch of rows is a batch of elements with offsets.
 */
import { columnOf, sortOf } from "./cells.ts";
import { ClusterError } from "../../errors.ts";
import type { FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { unaryLeaf } from "./field-demand.ts";

type ListColumn = Extract<Column, { kind: "list" }>;

/** The lists a field is made of. */
export interface FieldLists {
  /** Fields over the same lists have the same one. */
  identity: string;
  offsets: Uint32Array;
  /** One row for each element, in the column that `spec` reads. */
  elements: ColumnTable;
  /** The field, as one over the elements. */
  spec: FieldSpec;
}

/**
 * The lists that a field over `table` is made of; undefined where it has one value a row.
 *
 * @param o.copies elements that stand for an empty list which a withDefault() fills
 * @throws {ClusterError} BAD_DATA: no such column, or split() of one that holds no strings
 */
export function listsOf(o: {
  place: string;
  spec: FieldSpec;
  table: ColumnTable;
  copies: number;
}): FieldLists | undefined {
  const { place, spec, table, copies } = o;
  const leaf = unaryLeaf(spec);
  if (leaf.kind !== "column" && leaf.kind !== "split") return undefined;
  const column = columnOf(table, leaf.column, place);
  if (leaf.kind === "column" && column.kind !== "list") return undefined;

  const isFilled = hasDefault(spec);
  const whole = leaf.kind === "split" ? splitColumn(column, leaf, place) : (column as ListColumn);
  const { offsets, elements } = isFilled ? withEmptyFilled(whole, copies) : whole;
  return {
    identity: JSON.stringify([leaf, isFilled ? copies : 0]),
    offsets,
    elements: { rows: offsets.at(-1)!, columns: new Map([[leaf.column, elements]]) },
    spec: leaf.kind === "split" ? withLeaf(spec, { kind: "column", column: leaf.column }) : spec,
  };
}

/** Where the elements of the given rows lie, and how many each has. */
export function elementsAt(offsets: Uint32Array, rows: Uint32Array): { offsets: Uint32Array; elements: Uint32Array } {
  const batchOffsets = new Uint32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    batchOffsets[i + 1] = batchOffsets[i]! + offsets[row + 1]! - offsets[row]!;
  }
  const elements = new Uint32Array(batchOffsets[rows.length]!);
  for (let i = 0, at = 0; i < rows.length; i++) {
    const end = offsets[rows[i]! + 1]!;
    for (let element = offsets[rows[i]!]!; element < end; element++) elements[at++] = element;
  }
  return { offsets: batchOffsets, elements };
}

function hasDefault(spec: FieldSpec): boolean {
  if (spec.kind === "withDefault") return true;
  return "of" in spec && !Array.isArray(spec.of) && hasDefault(spec.of);
}

function withLeaf(spec: FieldSpec, leaf: FieldSpec): FieldSpec {
  if (!("of" in spec) || Array.isArray(spec.of)) return leaf;
  return { ...spec, of: withLeaf(spec.of, leaf) } as FieldSpec;
}

/** Each entry of the dictionary is cut once. */
function splitColumn(column: Column, leaf: Extract<FieldSpec, { kind: "split" }>, place: string): ListColumn {
  if (column.kind !== "string") {
    throw new ClusterError(
      "BAD_DATA",
      `${place}: column "${leaf.column}" holds ${sortOf(column)}; split() cuts strings: use column() for lists`,
    );
  }
  const codeOf = new Map<string, number>();
  const partsOf = column.dictionary.map((entry) =>
    entry
      .split(leaf.separator)
      .filter((part) => part !== "")
      .map((part) => {
        const code = codeOf.get(part) ?? codeOf.size;
        codeOf.set(part, code);
        return code;
      }),
  );
  const offsets = new Uint32Array(column.codes.length + 1);
  for (let row = 0; row < column.codes.length; row++)
    offsets[row + 1] = offsets[row]! + partsOf[column.codes[row]!]!.length;
  const codes = new Uint32Array(offsets.at(-1)!);
  for (let row = 0; row < column.codes.length; row++) codes.set(partsOf[column.codes[row]!]!, offsets[row]);
  return { kind: "list", offsets, elements: { kind: "string", codes, dictionary: [...codeOf.keys()] } };
}

/** The same lists, but each empty one has `copies` missing elements, for a default to fill. */
function withEmptyFilled({ offsets, elements }: ListColumn, copies: number): ListColumn {
  const rows = offsets.length - 1;
  const filled = new Uint32Array(rows + 1);
  for (let row = 0; row < rows; row++) filled[row + 1] = filled[row]! + (offsets[row + 1]! - offsets[row]! || copies);
  if (filled[rows] === offsets[rows]) return { kind: "list", offsets, elements };

  /** Place of each element before; -1 for a new one. */
  const from = new Int32Array(filled[rows]!).fill(-1);
  for (let row = 0; row < rows; row++) {
    const length = offsets[row + 1]! - offsets[row]!;
    for (let i = 0; i < length; i++) from[filled[row]! + i] = offsets[row]! + i;
  }
  return { kind: "list", offsets: filled, elements: spread(elements, from) };
}

function spread(elements: ListColumn["elements"], from: Int32Array): ListColumn["elements"] {
  switch (elements.kind) {
    case "number":
      return { kind: "number", values: Float64Array.from(from, (at) => (at < 0 ? Number.NaN : elements.values[at]!)) };
    case "int64":
      return {
        kind: "int64",
        values: BigInt64Array.from(from, (at) => (at < 0 ? 0n : elements.values[at]!)),
        missing: Uint8Array.from(from, (at) => (at < 0 ? 1 : (elements.missing?.[at] ?? 0))),
      };
    case "string": {
      const empty = elements.dictionary.length;
      const codes = Uint32Array.from(from, (at) => (at < 0 ? empty : elements.codes[at]!));
      return { kind: "string", codes, dictionary: [...elements.dictionary, ""] };
    }
    default:
      return elements satisfies never;
  }
}
