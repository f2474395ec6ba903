/**
 * Arrays, tensors and tf.data data sets, handed in by code, as tables of columns: a column for each input of the
 * model, one for the label and one for the weights.
 */
import { tableOf, type Column, type ColumnArray, type ColumnTable } from "@volary/core/data";
import { LIMITS } from "@volary/core/limits";

/** A tensor of tfjs, whose first axis is the row. */
export interface TensorLike {
  readonly shape: readonly number[];
  readonly dtype: string;
  data(): Promise<TensorValues>;
  dispose?(): void;
}

type TensorValues = Float32Array | Int32Array | Uint8Array | string[];

/** Values of one input, the first axis being the row. */
export type ArrayColumn = ColumnArray | TensorLike;

/** Rows in memory, as `model.fit(x, y)` of tfjs has them. */
export interface ArrayData<Inputs extends string = string> {
  /** By the names of the model's inputs; or the values themselves, where it has one input. */
  readonly x: ArrayColumn | Readonly<Record<Inputs, ArrayColumn>>;
  /** Labels: a number a row, or a list of as many as the model has outputs. */
  readonly y?: ArrayColumn | undefined;
  /** What each row weighs in loss and metrics. */
  readonly sampleWeight?: ArrayColumn | undefined;
}

/** A tf.data.Dataset of batches `{ xs, ys }`. */
export interface DatasetLike {
  iterator(): Promise<{ next(): Promise<{ done?: boolean | undefined; value: unknown }> }>;
}

/** Columns that are no input, as messages name them; no input of tfjs can have such a name. */
export const LABEL_COLUMN = "labels (y)";
export const WEIGHT_COLUMN = "weights (sampleWeight)";

/**
 * The table of some arrays.
 *
 * @param inputs of the model
 * @throws {TypeError} no x, an input without values, values of different lengths, or strings for labels or weights
 * @throws {RangeError} an integer beyond ±2^53 that is no bigint
 */
export async function arrayTable({ x, y, sampleWeight }: ArrayData, inputs: readonly string[]): Promise<ColumnTable> {
  if (x === undefined || x === null)
    throw new TypeError(
      "the data has no x; give arrays as { x, y }, x by the names of the inputs, or files, as csv(…)",
    );
  const all = new Map<string, ArrayColumn>(Object.entries(byName(x, inputs)));
  for (const input of inputs) {
    if (all.has(input)) continue;
    const names = [...all.keys()].map((name) => `"${name}"`).join(", ");
    throw new TypeError(`x has no values for the model's input "${input}"; it has ${names || "none"}`);
  }
  if (y !== undefined) all.set(LABEL_COLUMN, y);
  if (sampleWeight !== undefined) all.set(WEIGHT_COLUMN, sampleWeight);
  const columns = new Map<string, Column>();
  let first: { name: string; rows: number } | undefined;
  for (const [name, values] of all) {
    const { column, rows } = await columnOf(name, values);
    first ??= { name, rows };
    if (rows !== first.rows)
      throw new TypeError(`${textOf(name)} has ${rows} rows and ${textOf(first.name)} ${first.rows}; they must agree`);
    if (name === LABEL_COLUMN || name === WEIGHT_COLUMN) refuseStrings(name, column);
    columns.set(name, column);
  }
  if (!first || first.rows === 0) throw new TypeError("the data has no rows");
  return { rows: first.rows, columns };
}

function refuseStrings(name: string, column: Column): void {
  const values = column.kind === "list" ? column.elements : column;
  if (values.kind !== "string") return;
  const remedy =
    name === LABEL_COLUMN
      ? "give numbers, as 0 and 1 or the numbers of classes; a source, as csv(…), makes them of strings with " +
        'label: equals("y", "yes") or classes("y", ["a", "b"])'
      : "give numbers";
  throw new TypeError(
    `${textOf(name)} holds strings (the first is ${JSON.stringify(values.dictionary[values.codes[0] ?? 0] ?? "")}): ${remedy}`,
  );
}

/** Rows [from, to) of a table. */
export function tableRows(table: ColumnTable, from: number, to: number): ColumnTable {
  return {
    rows: to - from,
    columns: new Map([...table.columns].map(([name, column]) => [name, columnRows(column, from, to)])),
  };
}

export function isDataset(data: object): data is DatasetLike {
  return "iterator" in data && typeof data.iterator === "function";
}

/**
 * All rows of a tf.data.Dataset, which may be shuffled again in every epoch.
 *
 * @throws {TypeError} elements that are no `{ xs, ys }` of tensors, as of a data set that is not batched
 * @throws {RangeError} more rows than memory is given to
 */
export async function arraysOf(dataset: DatasetLike, inputs: readonly string[]): Promise<ArrayData> {
  const parts = new Map<string, { shape: readonly number[]; dtype: string; chunks: TensorValues[] }>();
  let bytes = 0;
  const add = async (name: string, tensor: TensorLike): Promise<void> => {
    const chunk = await tensor.data();
    bytes += 8 * chunk.length;
    if (bytes > LIMITS.dataInMemoryBytesMax)
      throw new RangeError(
        `the tf.data data set has over ${LIMITS.dataInMemoryBytesMax} bytes of values; write it to files, and train on csv(…) or parquet(…)`,
      );
    const part = parts.get(name) ?? { shape: tensor.shape.slice(1), dtype: tensor.dtype, chunks: [] };
    part.chunks.push(chunk);
    parts.set(name, part);
    tensor.dispose?.();
  };
  const iterator = await dataset.iterator();
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    const { xs, ys } = batchOf(next.value);
    for (const [name, tensor] of Object.entries(byName(xs, inputs))) await add(name, tensorOf(tensor, name));
    await add(LABEL_COLUMN, tensorOf(ys, "ys"));
  }
  if (parts.size === 0) throw new TypeError("the tf.data data set is empty");
  const whole = (name: string): TensorLike => {
    const { shape, dtype, chunks } = parts.get(name)!;
    const values = joined(chunks);
    const rows = values.length / shape.reduce((a, b) => a * b, 1);
    return { shape: [rows, ...shape], dtype, data: async () => values };
  };
  const names = [...parts.keys()].filter((name) => name !== LABEL_COLUMN);
  return { x: Object.fromEntries(names.map((name) => [name, whole(name)])), y: whole(LABEL_COLUMN) };
}

function joined(chunks: readonly TensorValues[]): TensorValues {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const [first] = chunks;
  if (Array.isArray(first)) return chunks.flatMap((chunk) => chunk as string[]);
  const values = first instanceof Int32Array ? new Int32Array(length) : new Float32Array(length);
  let at = 0;
  for (const chunk of chunks) {
    values.set(chunk as Float32Array, at);
    at += chunk.length;
  }
  return values;
}

function batchOf(value: unknown): { xs: ArrayData["x"]; ys: ArrayColumn } {
  if (typeof value === "object" && value !== null && "xs" in value && "ys" in value)
    return value as { xs: ArrayData["x"]; ys: ArrayColumn };
  throw new TypeError("the tf.data data set gives no { xs, ys }; map it to them, and batch it");
}

function tensorOf(value: ArrayColumn, name: string): TensorLike {
  if (isTensor(value) && value.shape.length > 0) return value;
  throw new TypeError(`${name} of the tf.data data set is no tensor with an axis of rows; batch the data set`);
}

function byName(x: ArrayData["x"], inputs: readonly string[]): Readonly<Record<string, ArrayColumn>> {
  if (!Array.isArray(x) && !ArrayBuffer.isView(x) && !isTensor(x)) return x as Readonly<Record<string, ArrayColumn>>;
  if (inputs.length === 1) return { [inputs[0]!]: x as ArrayColumn };
  const names = inputs.map((input) => `${input}: …`).join(", ");
  throw new TypeError(`the model has ${inputs.length} inputs; give x by their names, as { ${names} }`);
}

function isTensor(value: unknown): value is TensorLike {
  return (
    typeof value === "object" &&
    value !== null &&
    "shape" in value &&
    "data" in value &&
    typeof value.data === "function"
  );
}

async function columnOf(name: string, values: ArrayColumn): Promise<{ column: Column; rows: number }> {
  if (isTensor(values)) return tensorColumn(name, values);
  const { rows, columns } = tableOf({ [name]: values });
  return { column: unlisted(columns.get(name)!), rows };
}

async function tensorColumn(name: string, tensor: TensorLike): Promise<{ column: Column; rows: number }> {
  const [rows, ...rest] = tensor.shape;
  if (rows === undefined) throw new TypeError(`${textOf(name)} is a scalar; its first axis must be the row`);
  const values = await tensor.data();
  const flat = tableOf({ [name]: values }).columns.get(name)! as Exclude<Column, { kind: "list" }>;
  const width = rest.reduce((a, b) => a * b, 1);
  if (width === 1) return { column: flat, rows };
  return {
    column: { kind: "list", offsets: Uint32Array.from({ length: rows + 1 }, (_, i) => i * width), elements: flat },
    rows,
  };
}

/** A list of one element a row is that element. */
function unlisted(column: Column): Column {
  if (column.kind !== "list") return column;
  return column.offsets.every((offset, i) => offset === i) ? column.elements : column;
}

function columnRows(column: Column, from: number, to: number): Column {
  switch (column.kind) {
    case "number":
      return { kind: "number", values: column.values.slice(from, to) };
    case "int64":
      return { kind: "int64", values: column.values.slice(from, to), missing: column.missing?.slice(from, to) };
    case "string":
      return { ...column, codes: column.codes.slice(from, to) };
    case "list": {
      const [start, end] = [column.offsets[from]!, column.offsets[to]!];
      const elements = columnRows(column.elements, start, end) as Exclude<Column, { kind: "list" }>;
      return { kind: "list", offsets: column.offsets.slice(from, to + 1).map((offset) => offset - start), elements };
    }
    default:
      return column satisfies never;
  }
}

function textOf(name: string): string {
  if (name === LABEL_COLUMN) return "y";
  return name === WEIGHT_COLUMN ? "sampleWeight" : `x["${name}"]`;
}
