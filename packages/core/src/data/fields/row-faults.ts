/**
 * The rows of a table that cannot be used. A bad row keeps its number, so that every worker counts the same rows, and
 * weighs nothing; it is counted, and the first ones are remembered with their places.
 */
import { ClusterError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { BadRow, ColumnTable } from "../spec/dataset.ts";

/** Where checks report what they find. The text is made only where it is kept. */
export interface FaultSink {
  mark(row: number, fault: () => string): void;
}

/** The bad rows of one table: those its reader found, then those the checks of its fields find. */
export class RowFaults implements FaultSink {
  readonly #table: ColumnTable;
  #bad: Uint8Array | undefined;
  #count = 0;
  #first: BadRow[] = [];

  constructor(table: ColumnTable) {
    this.#table = table;
    for (const { row, place, fault } of table.badRows ?? []) this.#add(row, () => ({ row, place, fault }));
  }

  /** A row is counted once, with the first of its faults. */
  mark(row: number, fault: () => string): void {
    this.#add(row, () => ({ row, place: this.#table.placeOf?.(row) ?? `row ${row}`, fault: fault() }));
  }

  get count(): number {
    return this.#count;
  }

  /** `rows[row]` is 1 where a row is bad; undefined where none is. */
  get rows(): Uint8Array | undefined {
    return this.#bad;
  }

  /** The first of them, in the order of the rows. */
  get first(): readonly BadRow[] {
    return this.#first;
  }

  #add(row: number, badRow: () => BadRow): void {
    this.#bad ??= new Uint8Array(this.#table.rows);
    if (this.#bad[row] === 1) return;
    this.#bad[row] = 1;
    this.#count++;
    rememberFirst(this.#first, badRow, row);
  }
}

/** Faults of the elements of lists, as faults of the rows that hold them. */
export function elementFaults(faults: FaultSink, offsets: Uint32Array): FaultSink {
  return {
    mark(element, fault) {
      const row = rowOfElement(offsets, element);
      const place = element - offsets[row]!;
      faults.mark(row, () => `${fault()} (element ${place} of its list)`);
    },
  };
}

/**
 * The error of a data set with too many bad rows.
 *
 * @param o.rows how many rows were looked at
 */
export function badRowsError(o: { count: number; rows: number; max: number; first: readonly BadRow[] }): ClusterError {
  const { count, rows, max, first } = o;
  const told = first.slice(0, 3).map(({ place, fault }) => `${place}: ${fault}`);
  const rest = count > told.length ? ` And ${count - told.length} more.` : "";
  return new ClusterError(
    "BAD_DATA",
    `${count} of ${rows} rows cannot be used, and badRowsMax is ${max}. ${told
      .map((text) => `${text}. `)
      .join("")
      .trim()}${rest} ` +
      `Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: ${count}`,
  );
}

/** Keeps the first few in the order of their rows. */
function rememberFirst(first: BadRow[], badRow: () => BadRow, row: number): void {
  const last = first.at(-1);
  if (first.length >= LIMITS.badRowsKept && last !== undefined && last.row < row) return;
  const at = first.findIndex((each) => each.row > row);
  first.splice(at < 0 ? first.length : at, 0, badRow());
  if (first.length > LIMITS.badRowsKept) first.pop();
}

/** The row whose list holds an element. */
function rowOfElement(offsets: Uint32Array, element: number): number {
  let low = 0;
  let high = offsets.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (offsets[middle]! <= element) low = middle;
    else high = middle - 1;
  }
  return low;
}
