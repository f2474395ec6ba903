/**
 * Fields of a data set, compiled against its columns: from row numbers to keys (`key-nodes.ts` says what a key is), to
 * numbers, and to lists of either.
 */
import { columnOf, type CellContext } from "./cells.ts";
import { ClusterError } from "../../errors.ts";
import type { FieldSpec } from "../spec/data-spec.ts";
import type { ColumnTable, IntegerDtype, KeyLists, NumberLists } from "../spec/dataset.ts";
import { elementsAt, listsOf, type FieldLists } from "./field-lists.ts";
import { floatsOf, gatherFloats } from "./field-numbers.ts";
import { keyReaderOf, nodeOf, type KeyBatch, type KeyNode, type KeyReader } from "./key-nodes.ts";
import { saltOf } from "./murmur3.ts";
import { elementFaults, type FaultSink } from "./row-faults.ts";
import { RowRecordsBuilder } from "./row-records.ts";

/** The rows of one batch, and what its fields have in common. */
export interface RowBatch extends KeyBatch {
  readonly lists: Map<ElementFields, ElementBatch>;
}

/** What a field gives for a batch; the caller owns the arrays. */
export type Reader<Values> = (batch: RowBatch) => Values;

/**
 * Compiles fields against one table; columns and parts that fields share are prepared once. Rows that cannot be used
 * are marked while fields are compiled; reading them gives values of no use.
 *
 * Every method throws {ClusterError} BAD_DATA where a column is missing or of a wrong sort. `place` is what messages
 * begin with, as `field "age"`.
 */
export class FieldCompiler {
  readonly #table: ColumnTable;
  readonly #faults: FaultSink;
  readonly #nodes = new Map<string, KeyNode>();
  readonly #recordsBuilder = new RowRecordsBuilder();
  readonly #elements = new Map<string, ElementFields>();

  constructor(table: ColumnTable, faults: FaultSink) {
    this.#table = table;
    this.#faults = faults;
  }

  /**
   * Refuses strings where the model takes integers. What is hashed by its own word, as `hash()`, is keys of any dtype.
   *
   * @throws {ClusterError} BAD_DATA: the field's column holds strings
   */
  refuseStrings({ place, spec, integers }: FieldRequest & { integers: IntegerDtype }): void {
    const made = spec.kind === "withDefault" ? spec.of : spec;
    if (made.kind !== "column") return;
    const column = columnOf(this.#table, made.column, place);
    const cells = column.kind === "list" ? column.elements : column;
    if (cells.kind !== "string") return;
    const { codes, dictionary } = cells;
    const at = codes.findIndex((code) => dictionary[code] !== "");
    if (at < 0) return;
    throw new ClusterError(
      "BAD_DATA",
      `${place}: column "${made.column}" holds strings (the first is ${JSON.stringify(dictionary[codes[at]!])}), and its ` +
        `input has the dtype ${integers}: give the input dtype: "string", which hashes them; or, where they are integers, ` +
        `give the column as such, in a text file with types: { ${JSON.stringify(made.column)}: "int64${column.kind === "list" ? "[]" : ""}" }`,
    );
  }

  /** Prepares the rows of one batch for the readers. */
  batch(rows: Uint32Array): RowBatch {
    const records = this.#recordsBuilder.records();
    return {
      rows,
      records: records.gather(rows),
      recordWidth: records.width,
      codes: new Map(),
      pairs: new Map(),
      lists: new Map(),
    };
  }

  /** @param field whose name is the salt of strings and hashes */
  keys({ field, place, spec }: FieldRequest): KeyReader {
    const context = this.#context(place);
    return keyReaderOf(
      nodeOf({ spec, context, nodes: this.#nodes, recordsBuilder: this.#recordsBuilder }),
      saltOf(field),
    );
  }

  /** Of a field with one key a row, lists of one. */
  keyLists({ field, place, spec }: FieldRequest): Reader<KeyLists> {
    const lists = listsOf({ place, spec, table: this.#table, copies: 1 });
    if (lists === undefined) {
      const read = this.keys({ field, place, spec });
      return (batch) => ({ offsets: ofOne(batch.rows.length), keys: read(batch) });
    }
    const elements = this.#elementsOf(lists);
    const read = elements.compiler.keys({ field, place, spec: lists.spec });
    return (batch) => {
      const { offsets, elements: inner } = elementBatch(batch, elements);
      return { offsets: offsets.slice(), keys: read(inner) };
    };
  }

  /**
   * @param width numbers a row, one for each element of a list
   * @returns a reader of float32, shape [B, width]
   */
  numbers({ place, spec, width }: Omit<FieldRequest, "field"> & { width: number }): Reader<Float32Array> {
    const lists = listsOf({ place, spec, table: this.#table, copies: width });
    if (lists !== undefined) {
      const floats = this.#rowsOfWidth({ lists, place, width });
      return ({ rows }) => gatherFloats(floats, rows, width);
    }
    if (width !== 1) {
      throw new ClusterError(
        "BAD_DATA",
        `${place} gives one number a sample, and the model wants ${width}: give its input the shape [1], or make it of a column of lists`,
      );
    }
    const floats = floatsOf(spec, this.#context(place));
    return ({ rows }) => gatherFloats(floats, rows, 1);
  }

  /** Of a field with one number a row, lists of one. */
  numberLists({ place, spec }: Omit<FieldRequest, "field">): Reader<NumberLists> {
    const lists = listsOf({ place, spec, table: this.#table, copies: 1 });
    if (lists === undefined) {
      const read = this.numbers({ place, spec, width: 1 });
      return (batch) => ({ offsets: ofOne(batch.rows.length), values: read(batch) });
    }
    const elements = this.#elementsOf(lists);
    const floats = floatsOf(lists.spec, elements.compiler.#context(place));
    return (batch) => {
      const { offsets, elements: inner } = elementBatch(batch, elements);
      return { offsets: offsets.slice(), values: gatherFloats(floats, inner.rows, 1) };
    };
  }

  /** Rows side by side, those of another length marked and 0. */
  #rowsOfWidth({ lists, place, width }: { lists: FieldLists; place: string; width: number }): Float32Array {
    const { rows } = this.#table;
    const { offsets } = lists;
    const elements = this.#elementsOf(lists);
    const floats = floatsOf(lists.spec, elements.compiler.#context(place));
    let isEven = true;
    for (let row = 0; row < rows; row++) {
      const length = offsets[row + 1]! - offsets[row]!;
      if (length === width) continue;
      isEven = false;
      this.#faults.mark(
        row,
        () => `${place} is a list of ${length} numbers; expected ${width}, as its input's shape says`,
      );
    }
    if (isEven) return floats;
    const packed = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const [from, to] = [offsets[row]!, offsets[row + 1]!];
      if (to - from === width) packed.set(floats.subarray(from, to), row * width);
    }
    return packed;
  }

  #elementsOf(lists: FieldLists): ElementFields {
    const known = this.#elements.get(lists.identity);
    if (known !== undefined) return known;
    const compiler = new FieldCompiler(lists.elements, elementFaults(this.#faults, lists.offsets));
    const made = { offsets: lists.offsets, compiler };
    this.#elements.set(lists.identity, made);
    return made;
  }

  #context(place: string): CellContext {
    return { place, table: this.#table, faults: this.#faults };
  }
}

export interface FieldRequest {
  field: string;
  place: string;
  spec: FieldSpec;
}

/** Fields over the elements of one column of lists. */
interface ElementFields {
  readonly offsets: Uint32Array;
  readonly compiler: FieldCompiler;
}

interface ElementBatch {
  readonly offsets: Uint32Array;
  readonly elements: RowBatch;
}

function elementBatch(batch: RowBatch, fields: ElementFields): ElementBatch {
  let made = batch.lists.get(fields);
  if (made === undefined) {
    const { offsets, elements } = elementsAt(fields.offsets, batch.rows);
    made = { offsets, elements: fields.compiler.batch(elements) };
    batch.lists.set(fields, made);
  }
  return made;
}

function ofOne(samples: number): Uint32Array {
  const offsets = new Uint32Array(samples + 1);
  for (let b = 1; b <= samples; b++) offsets[b] = b;
  return offsets;
}
