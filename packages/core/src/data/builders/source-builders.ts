/**
 * The author's words for a data set: its files, their format, what the model may read of them. Each returns plain data
 * (see data-spec.ts), checked at once; nothing is read here.
 *
 * @example
 * parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
 *   fields: { route: cross("origin", "destination"), hour: hourOf("date"), origin: "origin" },
 *   label: atLeast("delay", 15),
 *   test: since("date", "2001-06-13T08:02"),
 * });
 */
import { checkedColumn, checkOptions, checkWhole, show } from "./author-argument.ts";
import {
  columnTypeSchema,
  dataSpecSchema,
  type ColumnType,
  type DataSpec,
  type FileSpec,
  type FormatSpec,
} from "../spec/data-spec.ts";
import { fieldOf, type ColumnsIn, type FieldLike, type Gives, type GivesOf } from "./field-builders.ts";
import { filesOf, type FileLike, type FilesLike } from "./file-builders.ts";
import type { HeldOut, Label } from "./label-builders.ts";
import { quoted } from "../spec/nearest-name.ts";

declare const fieldsOfType: unique symbol;

/**
 * A data set whose fields the compiler knows by name: `Keys` of them give nothing but keys, `Numbers` nothing but
 * numbers. A plain {@link DataSpec} is one too, of unknown names.
 */
export interface DataSource<
  Fields extends string = string,
  Keys extends string = never,
  Numbers extends string = never,
> extends DataSpec {
  readonly [fieldsOfType]?: { fields: Fields; keys: Keys; numbers: Numbers } | undefined;
}

/** The field names of a data set. */
export type FieldsOf<D> = D extends DataSource<infer F, string, string> ? F : string;

/** The data set of these fields. */
export type DataSourceOf<T> = T extends unknown
  ? DataSource<keyof T & string, FieldsGiving<T, "keys">, FieldsGiving<T, "numbers">>
  : never;

/** Inferred, so that editors show the names and not this. */
type FieldsGiving<T, G extends Gives> = {
  [F in keyof T]: GivesOf<T[F]> extends G ? F : never;
}[keyof T] extends infer F extends string
  ? F
  : never;

/** Fields by name; what each of them is, {@link CheckedField} says, one by one. */
type NamedFields = Readonly<Record<string, unknown>>;

/** The field `P`, or what is wrong with it: it reads a column that is not among the declared ones, `C`. */
export type CheckedField<P, C extends string> = P extends string
  ? P extends C
    ? P
    : C
  : [P] extends [FieldLike]
    ? [Exclude<ColumnsIn<P>, C>] extends [never]
      ? P
      : `no column "${Exclude<ColumnsIn<P>, C>}" among the declared ones`
    : FieldLike<C>;

/** Fields by the names of the inputs that read them, each {@link CheckedField checked}. */
export type CheckedFields<T, C extends string = string> = { readonly [F in keyof T]: CheckedField<T[F], C> };

/** What is read of a data set. `C` are its columns where they are declared, and any others elsewhere. */
export interface DataOptions<T = Readonly<Record<string, FieldLike>>, C extends string = string> {
  /** What the model may read, by the names of its inputs. */
  fields: CheckedFields<T, NoInfer<C>>;
  /** What it predicts, as `atLeast(…)`, or the name of a column of numbers. Without it every label is 0. */
  label?: NoInfer<C> | Label<NoInfer<C>>;
  /** What a row weighs in loss and metrics, 0 or more; 1 without it. */
  weight?: FieldLike<NoInfer<C>>;
  /** Rows of one group, as a user's, are ranked against each other by hr@k, ndcg@k and recall@k. */
  group?: FieldLike<NoInfer<C>>;
  /** The rows held out for evaluation; without it there are none. */
  test?: HeldOut<NoInfer<C>>;
  /** Rows that cannot be read, or lack a value, are left out up to this many; 0 by default: the first ends the job. */
  badRowsMax?: number;
}

/** As {@link DataOptions}, and what the columns of a text format hold. */
export interface TypedOptions<T = Readonly<Record<string, FieldLike>>, C extends string = string> extends DataOptions<
  T,
  C
> {
  /**
   * What columns hold; those that are not named are inferred from the first rows. To the compiler the named ones are
   * all there are, so that it finds a misspelt column.
   */
  types?: Readonly<Partial<Record<C, ColumnType>>>;
}

/** As {@link TypedOptions}, and how the lines are to be read. */
export interface TsvOptions<T = Readonly<Record<string, FieldLike>>, C extends string = string> extends TypedOptions<
  T,
  C
> {
  /** Does the first line name the columns? It does by default. */
  header?: boolean;
  /** Names of the columns where there is no header; "0", "1", … by default. */
  names?: readonly C[];
  /** Cells that count as missing, beside the empty one, as ["NA", "?"]. */
  missing?: readonly string[];
}

/** As {@link TsvOptions}, and what lies between cells. */
export interface CsvOptions<T = Readonly<Record<string, FieldLike>>, C extends string = string> extends TsvOptions<
  T,
  C
> {
  /** Between two cells: "," by default. */
  delimiter?: string;
}

const DATA_OPTIONS = ["fields", "label", "weight", "group", "test", "badRowsMax"] as const;
const TSV_OPTIONS = [...DATA_OPTIONS, "types", "header", "names", "missing"] as const;

/**
 * The rows of CSV files (RFC 4180).
 *
 * @param files a path, a folder, a glob, an address, or several
 * @returns plain data; nothing is read yet
 * @throws {TypeError} a field, column or option that is none: which, and the remedy
 * @example
 * const data = csv("days/*.csv.gz", {
 *   types: { user: "int64", city: "string", when: "timestamp", clicked: "number" },
 *   fields: { user: "user", place: cross("city", hourOf("when")) },
 *   label: "clicked",
 *   test: since("when", "2026-06-01"),
 * });
 */
export function csv<const T extends NamedFields, const C extends string = string>(
  files: FilesLike,
  options: CsvOptions<T, C>,
): DataSourceOf<T> {
  checkOptions("csv", options, [...TSV_OPTIONS, "delimiter"]);
  return delimited("csv", files, options);
}

/**
 * The rows of files whose cells are separated by tabs; as {@link csv}.
 *
 * @throws {TypeError} a field, column or option that is none
 * @example tsv("u.data", { header: false, names: ["user", "item", "stars", "when"], fields: { user: "user", item: "item" }, label: "stars" })
 */
export function tsv<const T extends NamedFields, const C extends string = string>(
  files: FilesLike,
  options: TsvOptions<T, C>,
): DataSourceOf<T> {
  checkOptions("tsv", options, TSV_OPTIONS);
  return delimited("tsv", files, { ...options, delimiter: "\t" });
}

/**
 * The rows of files with one JSON object a line; a column is a key, and a list of values a list.
 *
 * @throws {TypeError} a field, column or option that is none
 * @example jsonl("news.jsonl", { types: { seen: "int64[]" }, fields: { seen: "seen", item: "item" }, label: "clicked" })
 */
export function jsonl<const T extends NamedFields, const C extends string = string>(
  files: FilesLike,
  options: TypedOptions<T, C>,
): DataSourceOf<T> {
  checkOptions("jsonl", options, [...DATA_OPTIONS, "types"]);
  const format = { kind: "jsonl", types: checkedTypes("jsonl", options.types) } as const;
  return sourceOf("jsonl", { format, files: filesOf(files, "jsonl"), options });
}

/**
 * The rows of Parquet files; of their columns only those are read that fields, label, weight, group and test need.
 *
 * @throws {TypeError} a field, column or option that is none
 * @example
 * parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
 *   fields: { route: cross("origin", "destination"), hour: hourOf("date") },
 *   label: atLeast("delay", 15),
 *   test: since("date", "2001-06-13T08:02"),
 * });
 */
export function parquet<const T extends NamedFields>(files: FilesLike, options: DataOptions<T>): DataSourceOf<T> {
  checkOptions("parquet", options, DATA_OPTIONS);
  return sourceOf("parquet", { format: { kind: "parquet" }, files: filesOf(files, "parquet"), options });
}

/** Columns of libsvm files: the label, and the indices and values of a row's entries, two lists of one length. */
export type LibsvmColumn = "label" | "indices" | "values";

/**
 * Lines of `label index:value …`; the label is that of the file unless another is given.
 *
 * @throws {TypeError} a field, column or option that is none
 * @example libsvm("a9a", { fields: { ids: "indices", values: "values" }, label: equals("label", 1) })
 */
export function libsvm<const T extends NamedFields>(
  files: FilesLike,
  options: DataOptions<T, LibsvmColumn>,
): DataSourceOf<T> {
  checkOptions("libsvm", options, DATA_OPTIONS);
  const withLabel = { ...options, label: options.label ?? ("label" as const) };
  return sourceOf("libsvm", { format: { kind: "libsvm" }, files: filesOf(files, "libsvm"), options: withLabel });
}

/**
 * NumPy arrays, by column name; the first axis of each is the row.
 *
 * @throws {TypeError} a field, column or option that is none
 * @example npy({ pixels: "x.npy", digit: "y.npy" }, { fields: { pixels: "pixels" }, label: "digit" })
 */
export function npy<const T extends NamedFields, const C extends string>(
  files: Readonly<Record<C, FileLike>>,
  options: DataOptions<T, C>,
): DataSourceOf<T> {
  checkOptions("npy", options, DATA_OPTIONS);
  if (typeof files !== "object" || files === null || Array.isArray(files) || Object.keys(files).length === 0)
    throw new TypeError(`npy(): the files are ${show(files)}; give each column its file, as { pixels: "pixels.npy" }`);
  const columns = Object.keys(files);
  for (const name of columns) checkedColumn(name, "npy()");
  const { test } = options;
  if (test?.kind === "files" && test.files.length !== columns.length) {
    throw new TypeError(
      `npy(): heldOutFiles() names ${test.files.length} files and there are ${columns.length} columns; ` +
        `name one for each column, in the order ${quoted(columns)}`,
    );
  }
  const list = Object.values<FileLike>(files).flatMap((each) => filesOf(each, "npy"));
  return sourceOf("npy", { format: { kind: "npy", columns }, files: list, options });
}

function delimited<T extends NamedFields, C extends string>(
  call: string,
  files: FilesLike,
  options: CsvOptions<T, C>,
): DataSourceOf<T> {
  const { delimiter = ",", header = true, names, types, missing = [] } = options;
  if (typeof delimiter !== "string" || delimiter.length !== 1 || /["\r\n]/.test(delimiter))
    throw new TypeError(`${call}(): delimiter is ${show(delimiter)}; expected one character, as "," or ";"`);
  if (typeof header !== "boolean")
    throw new TypeError(`${call}(): header is ${show(header)}; write false where the first line is a row`);
  if (!Array.isArray(missing) || (missing as readonly unknown[]).some((cell) => typeof cell !== "string"))
    throw new TypeError(`${call}(): missing is ${show(missing)}; list the cells that hold no value, as ["NA"]`);
  if (names !== undefined) checkNames(call, names, header);
  const checked = checkedTypes(call, types);
  const stray = names && Object.keys(checked).find((name) => !(names as readonly string[]).includes(name));
  if (stray !== undefined)
    throw new TypeError(`${call}(): types.${stray} is no column; the names are ${quoted(names!)}`);
  const format = {
    kind: "csv" as const,
    delimiter,
    header,
    ...(names === undefined ? {} : { names: [...names] }),
    types: checked,
    missing: [...(missing as readonly string[])],
  } satisfies FormatSpec;
  return sourceOf(call, { format, files: filesOf(files, call), options });
}

function checkNames(call: string, names: readonly string[], header: boolean): void {
  if (header) {
    throw new TypeError(
      `${call}(): names are for files whose first line is a row: add header: false, or leave the names to the header`,
    );
  }
  if (!Array.isArray(names) || names.length === 0)
    throw new TypeError(`${call}(): names is ${show(names)}; list the columns in their order, as ["label", "age"]`);
  for (const [i, name] of names.entries()) {
    checkedColumn(name, `${call}(): names[${i}]`);
    if (names.indexOf(name) !== i) throw new TypeError(`${call}(): names[${i}] is "${name}", as an earlier one`);
  }
}

function checkedTypes(
  call: string,
  types: Readonly<Partial<Record<string, ColumnType>>> = {},
): Record<string, ColumnType> {
  if (typeof types !== "object" || types === null || Array.isArray(types))
    throw new TypeError(`${call}(): types is ${show(types)}; say what columns hold, as { user: "int64" }`);
  const checked: Record<string, ColumnType> = {};
  for (const [name, type] of Object.entries(types)) {
    const known = columnTypeSchema.safeParse(type);
    if (!known.success)
      throw new TypeError(`${call}(): types.${name} is ${show(type)}; use one of ${quoted(columnTypeSchema.options)}`);
    checked[checkedColumn(name, `${call}(): types`)] = known.data;
  }
  return checked;
}

interface SourceParts {
  format: FormatSpec;
  files: FileSpec[];
  options: object;
}

function sourceOf<T>(call: string, { format, files, options }: SourceParts): DataSourceOf<T> {
  const { fields, label, weight, group, test, badRowsMax = 0 } = options as DataOptions;
  if (typeof fields !== "object" || fields === null)
    throw new TypeError(`${call}(): fields is ${show(fields)}; name what the model reads, as { hour: hourOf(…) }`);
  const names = Object.keys(fields);
  if (names.length === 0)
    throw new TypeError(`${call}(): fields is empty; name what the model reads, as { hour: hourOf(…) }`);
  if (names.includes("")) throw new TypeError(`${call}(): a field has an empty name; name it as the model's input`);
  checkWhole({ call, name: "badRowsMax", value: badRowsMax, min: 0, max: Number.MAX_SAFE_INTEGER });
  const spec = {
    format,
    files,
    fields: Object.fromEntries(names.map((name) => [name, fieldOf(fields[name]!, `fields.${name}`)])),
    ...(label === undefined ? {} : { label: typeof label === "string" ? labelColumn(label, call) : label }),
    ...(weight === undefined ? {} : { weight: fieldOf(weight, `${call}(): weight`) }),
    ...(group === undefined ? {} : { group: fieldOf(group, `${call}(): group`) }),
    ...(test === undefined ? {} : { test }),
    badRowsMax,
  };
  const checked = dataSpecSchema.safeParse(spec);
  if (checked.success) return checked.data as DataSourceOf<T>;
  const issue = checked.error.issues[0]!;
  throw new TypeError(
    `${call}(): ${issue.path.join(".")}: ${issue.message}; make it with the functions of @volary/core`,
    { cause: checked.error },
  );
}

function labelColumn(name: string, call: string): { kind: "column"; column: string } {
  return { kind: "column", column: checkedColumn(name, `${call}(): label`) };
}
