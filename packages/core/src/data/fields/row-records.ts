/**
 * The codes of all columns, those of one row side by side. A shuffled batch touches rows all over memory: read
 * column by column that is one cache miss per row and column, read by records one or two per row.
 */

/** A column with more codes than this has no place in a record of 16-bit codes. */
export const RECORD_CODES_MAX = 65_536;

export interface RowRecords {
  /** The codes of `rows`, record after record, `width` codes each. */
  gather(rows: Uint32Array): Uint16Array;
  readonly width: number;
}

/** Columns are added while fields are compiled, and packed together at the first read. */
export class RowRecordsBuilder {
  #columns: (Uint8Array | Uint16Array | Uint32Array)[] = [];
  #packed: RowRecords | undefined;

  /** @returns the column's place in a record; its codes must be below {@link RECORD_CODES_MAX} */
  add(codes: Uint8Array | Uint16Array | Uint32Array): number {
    const place = this.#columns.push(codes) - 1;
    this.#packed = undefined;
    return place;
  }

  records(): RowRecords {
    this.#packed ??= packed(this.#columns);
    return this.#packed;
  }
}

function packed(columns: readonly (Uint8Array | Uint16Array | Uint32Array)[]): RowRecords {
  const width = columns.length;
  const records = new Uint16Array(width * (columns[0]?.length ?? 0));
  for (let place = 0; place < width; place++) {
    const codes = columns[place]!;
    for (let row = 0; row < codes.length; row++) records[row * width + place] = codes[row]!;
  }
  return { width, gather: (rows) => gatherRecords(records, width, rows) };
}

function gatherRecords(records: Uint16Array, width: number, rows: Uint32Array): Uint16Array {
  const out = new Uint16Array(width * rows.length);
  for (let i = 0, at = 0; i < rows.length; i++) {
    const from = rows[i]! * width;
    for (let j = 0; j < width; j++) out[at++] = records[from + j]!;
  }
  return out;
}
