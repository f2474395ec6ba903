/**
 * A data set that is larger than memory. Its rows stay where they are; a batch reads the columns of its rows into a
 * small table, which the same code turns into keys and numbers as a table of all rows. What is held beside the batch is
 * one bit a row where the split is not a range.
 */
import { assert, ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { DataSpec } from "./spec/data-spec.ts";
import type { BadRow, Batch, ColumnTable, Dataset, FieldDemand, RowSource, Split } from "./spec/dataset.ts";
import { checkDemands, columnsOf } from "./fields/field-demand.ts";
import type { LabelDemand } from "./fields/label-demand.ts";
import { labelWidthIn } from "./fields/labels.ts";
import { badRowsError, RowFaults } from "./fields/row-faults.ts";
import { RowSet } from "./row-set.ts";
import { checkSplit, heldOutRows, pastTheEnd, rangeSplit, type SplitRows } from "./fields/splits.ts";
import { checkTable, tableReader } from "./fields/table-reader.ts";

export interface OpenStreamedDatasetOptions {
  spec: DataSpec;
  /** Closed with the data set, and where opening fails. */
  source: RowSource;
  /** The fields the model reads; the columns of the others are not read. */
  demands: readonly FieldDemand[];
  /** Of the job: fields that are drawn depend on it. 0 by default. */
  seed?: number;
  /** As of `openDataset`; labels are checked as they are read. */
  labelDemands?: ((labelWidth: number) => readonly LabelDemand[]) | undefined;
}

/** Rows in which the length of a label's list is looked for. */
const LABEL_ROWS_MAX = 1024;
/** Rows of a table that a draw of the split is made in. */
const SPLIT_ROWS = 65_536;

/**
 * Opens a data set over a source. A split by a column reads that column once; any other reads nothing.
 *
 * @throws {ClusterError} BAD_DATA: the data does not hold what `spec` says
 * @throws {TypeError} the spec and the demands do not fit each other, whatever the data
 */
export async function openStreamedDataset(o: OpenStreamedDatasetOptions): Promise<Dataset> {
  try {
    checkDemands(o.spec, o.demands);
    if (o.source.rows === 0)
      throw new ClusterError("BAD_DATA", "the data set has no rows: check the file it was read from");
    const tally = new BadRowTally(o.source.rows, o.spec.badRowsMax);
    const split = await splitOf(o, tally);
    checkSplit(o.spec.test, split);
    const labelWidth = await labelWidthOf(o);
    const wanted = o.labelDemands?.(labelWidth) ?? [];
    return new StreamedDataset({ ...o, tally, split, labelWidth, wanted });
  } catch (error) {
    await o.source.close();
    throw error;
  }
}

interface StreamedParts extends OpenStreamedDatasetOptions {
  tally: BadRowTally;
  split: SplitRows;
  labelWidth: number;
  wanted: readonly LabelDemand[];
}

class StreamedDataset implements Dataset {
  readonly trainRows: number;
  readonly testRows: number;
  readonly labelWidth: number;
  readonly fingerprint: string;
  readonly blocks: { blockRows: number; windowBlocks: number };
  readonly #parts: StreamedParts;
  readonly #columns: string[];

  constructor(parts: StreamedParts) {
    const { source, split, spec, demands } = parts;
    this.trainRows = split.trainRows;
    this.testRows = split.testRows;
    this.labelWidth = parts.labelWidth;
    this.fingerprint = source.fingerprint;
    this.blocks = trainingBlocks(source, split, spec);
    this.#parts = parts;
    const demanded = new Set(demands.map(({ name }) => name));
    const fields = Object.fromEntries(Object.entries(spec.fields).filter(([name]) => demanded.has(name)));
    const { test: _, ...read } = spec;
    this.#columns = columnsOf({ ...read, fields });
  }

  async read(split: Split, samples: Uint32Array, epoch: number): Promise<Batch> {
    const { source, spec, demands, seed = 0, tally, labelWidth, wanted } = this.#parts;
    const rows = this.#parts.split.rowsAt(split, samples);
    const table = await source.read(rows, this.#columns);
    assert(table.rows === rows.length, `a source gave ${table.rows} rows where ${rows.length} were asked for`);
    if (rows.length > 0) checkTable(table);
    const reader = tableReader({ spec, table, demands, seed, labelWidth });
    for (const demand of wanted) if (demand.rows === "all" || split === "test") reader.markLabels(demand);
    tally.add(reader.faults, (row) => rows[row]!);
    tally.markMet(reader.faults, rows);
    return reader.read({ rows: ascending(rows.length), samples, split, epoch });
  }

  badRows(): { count: number; first: readonly BadRow[] } {
    const { count, first } = this.#parts.tally;
    return { count, first };
  }

  close(): Promise<void> {
    return this.#parts.source.close();
  }
}

/** The bad rows of a source, each counted once however often it is read. */
class BadRowTally {
  readonly first: BadRow[] = [];
  readonly #rows: number;
  readonly #max: number;
  #met: RowSet | undefined;

  constructor(rows: number, max: number) {
    this.#rows = rows;
    this.#max = max;
  }

  get count(): number {
    return this.#met?.size ?? 0;
  }

  /** @throws {ClusterError} BAD_DATA: there are more of them than may be */
  add(faults: RowFaults, rowOf: (row: number) => number): void {
    const bad = faults.rows;
    if (bad === undefined) return;
    this.#met ??= new RowSet(this.#rows);
    const places = new Map(faults.first.map((each) => [each.row, each]));
    for (let at = 0; at < bad.length; at++) {
      if (bad[at] !== 1) continue;
      const row = rowOf(at);
      if (!this.#met.add(row)) continue;
      const { place, fault } = places.get(at) ?? { place: `row ${row}`, fault: "it cannot be used" };
      // A small table numbers its rows from 0: its own name for a row says nothing.
      const named = place === `row ${at}` ? `row ${row}` : place;
      if (this.first.length < LIMITS.badRowsKept) this.first.push({ row, place: named, fault });
    }
    if (this.count > this.#max)
      throw badRowsError({ count: this.count, rows: this.#rows, max: this.#max, first: this.first });
  }

  /** Marks the rows that turned out bad before: in the split's column, which a batch does not read. */
  markMet(faults: RowFaults, rows: Uint32Array): void {
    const met = this.#met;
    if (met === undefined) return;
    for (let at = 0; at < rows.length; at++) if (met.has(rows[at]!)) faults.mark(at, () => "it was bad before");
  }
}

async function splitOf({ spec, source }: OpenStreamedDatasetOptions, tally: BadRowTally): Promise<SplitRows> {
  const { test } = spec;
  const { rows } = source;
  if (test === undefined) return rangeSplit(rows, rows);
  if (test.kind === "files") return rangeSplit(rows, source.testFrom ?? rows);
  const heldOut = new RowSet(rows);
  let firstRow = 0;
  for await (const table of test.kind === "fraction" ? rowNumbers(rows) : source.scan([test.column])) {
    const faults = new RowFaults(table);
    const flags = heldOutRows({ spec: test, table, firstRow, faults });
    for (let row = 0; row < flags.length; row++) if (flags[row] === 1) heldOut.add(firstRow + row);
    const start = firstRow;
    tally.add(faults, (row) => start + row);
    firstRow += table.rows;
  }
  if (firstRow !== rows)
    throw new ClusterError("BAD_DATA", `${firstRow} rows were read where ${rows} were counted: did the data change?`);
  return rankedSplit(heldOut, rows);
}

/** Tables without columns, for a split that depends on row numbers alone. */
function* rowNumbers(rows: number): Iterable<ColumnTable> {
  for (let from = 0; from < rows; from += SPLIT_ROWS)
    yield { rows: Math.min(SPLIT_ROWS, rows - from), columns: new Map() };
}

function rankedSplit(heldOut: RowSet, rows: number): SplitRows {
  const sizes = { train: rows - heldOut.size, test: heldOut.size };
  return {
    trainRows: sizes.train,
    testRows: sizes.test,
    rowsAt(split, samples) {
      const out = new Uint32Array(samples.length);
      for (let i = 0; i < out.length; i++) {
        if (samples[i]! >= sizes[split]) throw pastTheEnd({ i, samples, split, rows: sizes[split] });
        out[i] = split === "test" ? heldOut.rowAt(samples[i]!) : heldOut.rowOutsideAt(samples[i]!);
      }
      return out;
    },
  };
}

/**
 * Blocks of training samples that lie in about one block of rows each. Held-out rows among them shift where they begin,
 * so that each may touch two: then a window has half as many.
 */
function trainingBlocks(source: RowSource, { trainRows }: SplitRows, { test }: DataSpec): Dataset["blocks"] & object {
  const { blockRows, windowBlocks, rows } = source;
  if (test === undefined || test.kind === "files") return { blockRows, windowBlocks };
  return {
    blockRows: Math.max(1, Math.round((blockRows * trainRows) / rows)),
    windowBlocks: Math.max(1, windowBlocks >>> 1),
  };
}

async function labelWidthOf({ spec, source }: OpenStreamedDatasetOptions): Promise<number> {
  const { label } = spec;
  if (label?.kind !== "column") return labelWidthIn(label, { rows: 0, columns: new Map() });
  return labelWidthIn(label, await source.read(ascending(Math.min(LABEL_ROWS_MAX, source.rows)), [label.column]));
}

function ascending(length: number): Uint32Array {
  const rows = new Uint32Array(length);
  for (let i = 0; i < length; i++) rows[i] = i;
  return rows;
}
