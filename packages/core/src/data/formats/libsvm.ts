/**
 * The sparse text format of LIBSVM and SVMlight: `label qid:7 index:value index:value … # comment`
 * (https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/, https://www.cs.cornell.edu/people/tj/svm_light/).
 * Columns: "label", "qid" (missing where a line has none), and the lists "indices" and "values".
 */
import type { ColumnTable } from "../spec/dataset.ts";
import { ListBuilder, columnBuilder, type ColumnBuilder } from "./column-builder.ts";
import { blanksEnd } from "./json-scanner.ts";
import { shown, type RowFault } from "./row-cells.ts";

export const LIBSVM_TYPES = { label: "number", qid: "int64", indices: "int64[]", values: "number[]" } as const;
type LibsvmColumn = keyof typeof LIBSVM_TYPES;

const COLON = 0x3a;
const HASH = 0x23;

export class LibsvmParser {
  rows = 0;
  readonly #columns: readonly string[];
  readonly #faults: RowFault[] = [];
  readonly #label = columnBuilder("number");
  readonly #qid = columnBuilder("int64");
  readonly #indices = new ListBuilder("int64[]", 1024);
  readonly #values = new ListBuilder("number[]", 1024);

  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  get faults(): number {
    return this.#faults.length;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    let end = from;
    while (end < to && bytes[end] !== HASH) end++;
    const row = this.rows++;
    const fault = this.#line(bytes, from, end);
    if (fault !== undefined) {
      this.#faults.push({ row, fault });
      this.#indices.dropRow();
      this.#values.dropRow();
      this.#label.truncate(row);
      this.#label.addMissing();
      this.#qid.truncate(row);
      this.#qid.addMissing();
    }
    this.#indices.endRow();
    this.#values.endRow();
  }

  /** Nothing waits. */
  flush(): void {}

  take(): { table: ColumnTable; faults: RowFault[] } {
    const { rows } = this;
    this.rows = 0;
    const builders: Record<LibsvmColumn, ColumnBuilder> = {
      label: this.#label,
      qid: this.#qid,
      indices: this.#indices,
      values: this.#values,
    };
    const all = new Map(Object.entries(builders).map(([name, builder]) => [name, builder.take()]));
    const columns = new Map(this.#columns.map((name) => [name, all.get(name)!]));
    return { table: { rows, columns }, faults: this.#faults.splice(0) };
  }

  #line(bytes: Uint8Array, from: number, to: number): string | undefined {
    let at = blanksEnd(bytes, from, to);
    const labelEnd = wordEnd(bytes, at, to);
    if (!this.#label.add(bytes, at, labelEnd)) {
      return `the label is ${shown(bytes, at, labelEnd)}; expected a number, then index:value pairs`;
    }
    let hasQid = false;
    for (at = blanksEnd(bytes, labelEnd, to); at < to;) {
      const end = wordEnd(bytes, at, to);
      let colon = at;
      while (colon < end && bytes[colon] !== COLON) colon++;
      const isQid = colon - at === 3 && bytes[at] === 0x71 && bytes[at + 1] === 0x69 && bytes[at + 2] === 0x64;
      if (isQid && !hasQid) {
        if (!this.#qid.add(bytes, colon + 1, end)) return `${shown(bytes, at, end)} is no query id; expected qid:7`;
        hasQid = true;
      } else if (
        colon === end ||
        !this.#indices.elements.add(bytes, at, colon) ||
        !this.#values.elements.add(bytes, colon + 1, end)
      ) {
        return `${shown(bytes, at, end)} is no index:value pair; expected as 12:0.5`;
      }
      at = blanksEnd(bytes, end, to);
    }
    if (!hasQid) this.#qid.addMissing();
    return undefined;
  }
}

function wordEnd(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && bytes[at] !== 0x20 && bytes[at] !== 0x09) at++;
  return at;
}
