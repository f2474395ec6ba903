/**
 * The cells of some hundred records, found first and turned into columns then, one column after the other: a record
 * that turns out broken half way leaves a row of missing cells, never columns of different lengths, and the
 * dictionary of one column stays in the processor's cache while its cells are looked up.
 */
import type { ColumnType } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { columnBuilder, EXPECTED, type ColumnBuilder } from "./column-builder.ts";

export interface WantedColumn {
  name: string;
  type: ColumnType;
}

/** What is wrong with a row, without its place. */
export interface RowFault {
  row: number;
  fault: string;
}

/** Records that wait to be turned into columns. */
const WAITING_MAX = 256;

const NO_BYTES = new Uint8Array(0);

export class RowCells {
  readonly columns: readonly WantedColumn[];
  /** Rows since the last {@link take}. */
  rows = 0;
  readonly #builders: readonly ColumnBuilder[];
  /** Faults by row. */
  readonly #faults = new Map<number, string>();
  /** Cell of column c of the i-th waiting row is `#bytes[i][#from[k], #to[k])`, k = c × WAITING_MAX + i; empty: missing. */
  readonly #from: Uint32Array;
  readonly #to: Uint32Array;
  readonly #bytes: Uint8Array[] = Array.from({ length: WAITING_MAX }, () => NO_BYTES);
  /** Cells whose text is not in `#bytes`, by k. */
  readonly #others = new Map<number, Uint8Array>();
  #waiting = 0;
  readonly #missing: readonly Uint8Array[];

  /** @param o.missing cells that count as missing, beside the empty one */
  constructor({ columns, missing = [] }: { columns: readonly WantedColumn[]; missing?: readonly string[] }) {
    this.columns = columns;
    this.#builders = columns.map(({ type }) => columnBuilder(type));
    this.#from = new Uint32Array(columns.length * WAITING_MAX);
    this.#to = new Uint32Array(columns.length * WAITING_MAX);
    this.#missing = missing.map((text) => new TextEncoder().encode(text));
  }

  get faults(): number {
    return this.#faults.size;
  }

  /** Begins a row whose cells are in `bytes`, which stay as they are until {@link flush}. */
  begin(bytes: Uint8Array): void {
    if (this.#waiting === WAITING_MAX) this.flush();
    this.#bytes[this.#waiting] = bytes;
  }

  /** The cell of the row begun. */
  set(column: number, from: number, to: number): void {
    const cell = column * WAITING_MAX + this.#waiting;
    this.#from[cell] = from;
    this.#to[cell] = to;
  }

  /** The same, where its text is not in the bytes of the row. */
  setText(column: number, text: Uint8Array): void {
    this.set(column, 0, text.length);
    this.#others.set(column * WAITING_MAX + this.#waiting, text);
  }

  /** Ends the row begun. With a fault all its cells are missing. */
  end(fault?: string): void {
    if (fault !== undefined) {
      this.#faults.set(this.rows, fault);
      for (let column = 0; column < this.columns.length; column++) this.set(column, 0, 0);
    }
    this.#waiting++;
    this.rows++;
  }

  /** Turns the waiting rows into columns; only then may their bytes change. */
  flush(): void {
    const firstRow = this.rows - this.#waiting;
    for (let column = 0; column < this.columns.length; column++) this.#flushColumn(column, firstRow);
    this.#from.fill(0);
    this.#to.fill(0);
    this.#others.clear();
    this.#bytes.fill(NO_BYTES);
    this.#waiting = 0;
  }

  /** The rows so far and what is wrong with some of them; the next one is row 0 of another table. */
  take(): { table: ColumnTable; faults: RowFault[] } {
    this.flush();
    const { rows } = this;
    const faults = Array.from(this.#faults, ([row, fault]) => ({ row, fault })).toSorted((a, b) => a.row - b.row);
    this.rows = 0;
    this.#faults.clear();
    const columns = new Map(this.columns.map(({ name }, i) => [name, this.#builders[i]!.take()]));
    return { table: { rows, columns }, faults };
  }

  #flushColumn(column: number, firstRow: number): void {
    const builder = this.#builders[column]!;
    const base = column * WAITING_MAX;
    const hasOthers = this.#others.size > 0;
    const hasMissing = this.#missing.length > 0;
    for (let i = 0; i < this.#waiting; i++) {
      const from = this.#from[base + i]!;
      const to = this.#to[base + i]!;
      const bytes = (hasOthers ? this.#others.get(base + i) : undefined) ?? this.#bytes[i]!;
      if (from === to || (hasMissing && this.#isMissing(bytes, from, to))) builder.addMissing();
      else if (!builder.add(bytes, from, to) && !this.#faults.has(firstRow + i)) {
        this.#faults.set(firstRow + i, wrongType(this.columns[column]!, bytes, from, to));
      }
    }
  }

  #isMissing(text: Uint8Array, from: number, to: number): boolean {
    for (const missing of this.#missing) {
      if (missing.length !== to - from) continue;
      let i = 0;
      while (i < missing.length && text[from + i] === missing[i]) i++;
      if (i === missing.length) return true;
    }
    return false;
  }
}

/** One message for all formats: the column, what stands there, what was expected. */
export function wrongType({ name, type }: WantedColumn, text: Uint8Array, from: number, to: number): string {
  return `column "${name}" is ${shown(text, from, to)}; expected ${EXPECTED[type]}`;
}

/** The bytes as a quoted text, cut where it is long. */
export function shown(text: Uint8Array, from: number, to: number): string {
  const cut = new TextDecoder().decode(text.subarray(from, Math.min(to, from + SHOWN_BYTES)));
  return JSON.stringify(to - from > SHOWN_BYTES ? `${cut}…` : cut);
}

const SHOWN_BYTES = 60;
