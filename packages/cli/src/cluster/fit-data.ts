/**
 * What `cluster.fit` was given to train on, as a data spec that the workers can read. Arrays are hosted for as long
 * as the run lasts.
 */
import type { ColumnTable, DataSource, DataSpec, FieldSpec, FileSpec, SplitSpec } from "@volary/core/data";
import {
  arraysOf,
  arrayTable,
  isDataset,
  LABEL_COLUMN,
  tableRows,
  WEIGHT_COLUMN,
  type ArrayColumn,
  type ArrayData,
  type DatasetLike,
} from "../scoring/array-table.ts";
import type { HostedTables } from "./table-host.ts";
import { isDataSpec } from "../scoring/scored-data.ts";

/** A source, as csv(…) and parquet(…) make it; arrays; or, on a local cluster, a tf.data.Dataset of batches. */
export type FitData<Fields extends string = string> =
  | DataSource<Fields, string, string>
  | LabelledArrays<Fields>
  | DatasetLike;

/** Rows in memory to train on, as `model.fit(x, y)` of tfjs has them. */
export interface LabelledArrays<Inputs extends string = string> extends ArrayData<Inputs> {
  /** Labels; undefined where the loss compares a sample's own outputs, as "bpr". */
  readonly y: ArrayColumn | undefined;
}

/** Held-out rows must have the fields of the data; what is wrong with them otherwise. Nothing is known of `string`. */
export interface SameFields<Fields extends string, Held extends string> {
  validationData?: string extends Held | Fields
    ? unknown
    : [Exclude<Held, Fields>] extends [never]
      ? [Exclude<Fields, Held>] extends [never]
        ? unknown
        : `validationData lacks the field "${Exclude<Fields, Held>}"`
      : `the data has no field "${Exclude<Held, Fields>}"`;
}

/** What a model is trained on beside the data itself. */
export interface FitDataOptions<Fields extends string = string> {
  /** Held-out rows: files of the same format as the data, or arrays as the data. */
  validationData?: FitData<Fields> | undefined;
  /** Held-out share of the rows: the last ones of arrays, as in tfjs; drawn by row number and seed from a source. */
  validationSplit?: number | undefined;
  /** What each row of arrays weighs. */
  sampleWeight?: ArrayColumn | undefined;
}

export interface ReadableData {
  spec: DataSpec;
  close(): Promise<void>;
}

/**
 * @param o.inputs of the model
 * @param o.host puts tables where the workers can read them
 * @throws {TypeError} data that does not fit the model or the validation data
 */
export async function readableData(o: {
  data: FitData;
  options: FitDataOptions;
  inputs: readonly string[];
  seed: number;
  where: "local" | "remote";
  host: (tables: readonly ColumnTable[]) => Promise<HostedTables>;
}): Promise<ReadableData> {
  const { data, options } = o;
  checkOptions(options);
  if (isDataSpec(data)) {
    if (options.sampleWeight !== undefined)
      throw new TypeError('sampleWeight goes with arrays; name the weight in the data, as weight: "importance"');
    return { spec: withHeldOut(data, options, o.seed), close: async () => {} };
  }
  const table = await tableOfData(data, o);
  const { validationData, validationSplit } = options;
  if (validationData !== undefined && isDataSpec(validationData))
    throw new TypeError("the data is arrays, so validationData must be arrays too, as { x, y }");
  const tables =
    validationData !== undefined
      ? [table, await tableOfData(validationData, { ...o, options: {} })]
      : cut(table, validationSplit);
  const hosted = await o.host(tables);
  return { spec: specOf(table, o.inputs, hosted.files), close: () => hosted.close() };
}

function checkOptions({ validationData, validationSplit }: FitDataOptions): void {
  if (validationData !== undefined && validationSplit !== undefined)
    throw new TypeError("validationData and validationSplit are two ways to hold rows out; give one of them");
  if (validationSplit === undefined || (validationSplit > 0 && validationSplit < 1)) return;
  throw new RangeError(`validationSplit is ${validationSplit}; give a share between 0 and 1, as 0.1`);
}

function withHeldOut(data: DataSpec, { validationData, validationSplit }: FitDataOptions, seed: number): DataSpec {
  const test = heldOut(data, { validationData, validationSplit }, seed);
  if (test === undefined) return data;
  if (data.test !== undefined)
    throw new TypeError("the data holds rows out by its test already; leave out validationData and validationSplit");
  return { ...data, test };
}

function heldOut(
  data: DataSpec,
  { validationData, validationSplit }: FitDataOptions,
  seed: number,
): SplitSpec | undefined {
  if (validationSplit !== undefined) return { kind: "fraction", fraction: validationSplit, seed };
  if (validationData === undefined) return undefined;
  if (!isDataSpec(validationData))
    throw new TypeError(
      `the data is ${data.format.kind} files, so validationData must be, too: ${data.format.kind}(…)`,
    );
  if (validationData.format.kind !== data.format.kind)
    throw new TypeError(
      `the data is ${data.format.kind} and validationData ${validationData.format.kind}; they must be of one format`,
    );
  return { kind: "files", files: validationData.files };
}

async function tableOfData(
  data: Exclude<FitData, DataSpec>,
  o: { options: FitDataOptions; inputs: readonly string[]; where: "local" | "remote" },
): Promise<ColumnTable> {
  if (!isDataset(data)) {
    const { sampleWeight } = o.options;
    return arrayTable(sampleWeight === undefined ? data : { ...data, sampleWeight }, o.inputs);
  }
  if (o.where === "remote")
    throw new TypeError(
      "a tf.data.Dataset is read in this process, so it can be trained on by a local cluster only; give arrays or a source, as csv(…)",
    );
  return arrayTable(await arraysOf(data, o.inputs), o.inputs);
}

/** tfjs holds the last rows out. */
function cut(table: ColumnTable, share: number | undefined): ColumnTable[] {
  if (share === undefined) return [table];
  const trained = Math.floor(table.rows * (1 - share));
  if (trained === 0 || trained === table.rows)
    throw new RangeError(
      `validationSplit ${share} of ${table.rows} rows leaves none to ${trained === 0 ? "train on" : "hold out"}`,
    );
  return [tableRows(table, 0, trained), tableRows(table, trained, table.rows)];
}

function specOf(table: ColumnTable, inputs: readonly string[], files: readonly FileSpec[]): DataSpec {
  const column = (name: string): FieldSpec => ({ kind: "column", column: name });
  const [train, test] = files;
  return {
    format: { kind: "table" },
    files: [train!],
    fields: Object.fromEntries(inputs.map((input) => [input, column(input)])),
    ...(table.columns.has(LABEL_COLUMN) ? { label: { kind: "column", column: LABEL_COLUMN } } : {}),
    ...(table.columns.has(WEIGHT_COLUMN) ? { weight: column(WEIGHT_COLUMN) } : {}),
    ...(test === undefined ? {} : { test: { kind: "files", files: [test] } }),
    badRowsMax: 0,
  };
}
