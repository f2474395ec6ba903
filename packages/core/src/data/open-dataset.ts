/**
 * From a table of columns to a data set: checks everything a training loop relies on, cuts train from test, and
 * prepares the fields. After it returns, reading cannot fail on the data's account.
 */
import type { DataSpec } from "./spec/data-spec.ts";
import type { ColumnTable, FieldDemand, MemoryDataset } from "./spec/dataset.ts";
import { checkDemands, columnsOf } from "./fields/field-demand.ts";
import { fingerprintOf } from "./fingerprint.ts";
import type { LabelDemand } from "./fields/label-demand.ts";
import { checkOccurs } from "./fields/labels.ts";
import { badRowsError, type FaultSink } from "./fields/row-faults.ts";
import { checkSplit, heldOutRows, listedSplit, rangeSplit, type SplitRows } from "./fields/splits.ts";
import { checkTable, tableReader } from "./fields/table-reader.ts";

export interface OpenDatasetOptions {
  spec: DataSpec;
  /** At least the columns of {@link columnsOf}. */
  table: ColumnTable;
  /** The fields the model reads; the others are not prepared. */
  demands: readonly FieldDemand[];
  /** Of the job: fields that are drawn depend on it. 0 by default. */
  seed?: number;
  /** What loss and metrics want of labels of the width that the data turns out to have; any number without it. */
  labelDemands?: ((labelWidth: number) => readonly LabelDemand[]) | undefined;
  /** Rows to learn from must have the value that an `equals()` label names; rows to score need not. "train" by default. */
  purpose?: "train" | "score" | undefined;
}

/**
 * @throws {ClusterError} BAD_DATA: the data does not hold what `spec` says, or has too many bad rows
 * @throws {TypeError} the spec and the demands do not fit each other, whatever the data
 */
export function openDataset(o: OpenDatasetOptions): MemoryDataset {
  const { spec, table, demands, seed = 0, labelDemands, purpose = "train" } = o;
  checkDemands(spec, demands);
  checkTable(table);
  const reader = tableReader({ spec, table, demands, seed });
  const { faults, labels } = reader;
  const split = splitOf(spec, table, faults);
  for (const demand of labelDemands?.(labels.width) ?? [])
    reader.markLabels(demand, demand.rows === "all" ? undefined : testRowsOf(split));
  const { count, first } = faults;
  if (count > spec.badRowsMax) throw badRowsError({ count, rows: table.rows, max: spec.badRowsMax, first });
  checkSplit(spec.test, split, table);
  if (purpose === "train") checkOccurs(spec.label, labels, table);

  return {
    trainRows: split.trainRows,
    testRows: split.testRows,
    labelWidth: labels.width,
    fingerprint: fingerprintOf(table, columnsOf(spec)),
    blocks: undefined,
    read: (name, samples, epoch = 0) => reader.read({ rows: split.rowsAt(name, samples), samples, split: name, epoch }),
    badRows: () => ({ count, first }),
    close: async () => {},
  };
}

function testRowsOf(split: SplitRows): Uint32Array {
  return split.rowsAt(
    "test",
    Uint32Array.from({ length: split.testRows }, (_, sample) => sample),
  );
}

function splitOf({ test }: DataSpec, table: ColumnTable, faults: FaultSink): SplitRows {
  if (test === undefined) return rangeSplit(table.rows, table.rows);
  if (test.kind === "files") return rangeSplit(table.rows, table.testFrom ?? table.rows);
  return listedSplit(heldOutRows({ spec: test, table, firstRow: 0, faults }));
}
