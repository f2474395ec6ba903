/**
 * The author's words for data: where the rows lie and how fields are made of columns. Each returns plain data (see
 * data-spec.ts), nothing is read here. A column's name may stand wherever a field is expected.
 *
 * @example
 * parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
 *   fields: { route: cross("origin", "destination"), hour: hourOf("date"), origin: "origin" },
 *   label: atLeast("delay", 15),
 *   test: since("date", "2001-06-13T08:02"),
 * });
 */
import {
  dataSpecSchema,
  type DataSpec,
  type FieldSpec,
  type FileSpec,
  type LabelSpec,
  type SplitSpec,
} from "./data-spec.ts";
import { microsOf } from "./instant.ts";

/** A field, or the name of a column that is taken as it is. */
export type FieldLike = string | FieldSpec;

export interface DataOptions {
  /** What the model may read, by the names of its inputs. */
  fields: Record<string, FieldLike>;
  /** What it predicts: `atLeast(…)`, or the name of a column of numbers. */
  label: string | LabelSpec;
  /** The rows held out for evaluation; without it there are none. */
  test?: SplitSpec;
}

/** The rows of a Parquet file. */
export function parquet(file: FileSpec, { fields, label, test }: DataOptions): DataSpec {
  if (typeof file !== "object" || file === null) {
    throw new TypeError(`parquet(): the file is ${show(file)}; write file("path") or npmFile("package/path")`);
  }
  const names = Object.keys(fields);
  if (names.length === 0)
    throw new TypeError("parquet(): fields is empty; name what the model reads, as { hour: hourOf(…) }");
  const spec = {
    format: "parquet" as const,
    file,
    fields: Object.fromEntries(names.map((name) => [checkName(name), fieldOf(fields[name]!, `fields.${name}`)])),
    label: typeof label === "string" ? column(label) : label,
    ...(test === undefined ? {} : { test }),
  };
  const checked = dataSpecSchema.safeParse(spec);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0]!;
  throw new TypeError(
    `parquet(): ${issue.path.join(".")}: ${issue.message}; make it with the functions of @volary/core`,
    {
      cause: checked.error,
    },
  );
}

/** A file inside an installed npm package: `"package/path/inside"`. */
export function npmFile(path: string): FileSpec {
  const parts = typeof path === "string" ? path.split("/") : [];
  const packageParts = path?.startsWith?.("@") ? 2 : 1;
  if (parts.length <= packageParts || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new TypeError(
      `npmFile(${show(path)}): expected a package and a path inside it, as "vega-datasets/data/flights-3m.parquet"`,
    );
  }
  return { kind: "npm", path };
}

/** A file on the machine of whoever reads it; a relative path starts at the folder of the job file. */
export function file(path: string): FileSpec {
  if (typeof path !== "string" || path === "")
    throw new TypeError(`file(${show(path)}): expected a path, as "data/train.parquet"`);
  return { kind: "file", path };
}

/** The column as it is: strings are hashed to keys, integers are keys themselves; or numbers, if an input wants numbers. */
export function column(name: string): { kind: "column"; column: string } {
  return { kind: "column", column: columnName(name, "column") };
}

/** One key for each combination of the parts. */
export function cross(...parts: FieldLike[]): FieldSpec {
  if (parts.length < 2 || parts.length > 16) {
    throw new RangeError(
      `cross() takes 2 to 16 columns or fields, got ${parts.length}; for a single one use column("…") or hash("…")`,
    );
  }
  return { kind: "cross", of: parts.map((part) => fieldOf(part, "cross()")) };
}

/** The key of `part`, hashed with the field's salt: for integers that share an embedding table with other fields. */
export function hash(part: FieldLike): FieldSpec {
  return { kind: "hash", of: fieldOf(part, "hash()") };
}

/** 0–23, UTC. */
export function hourOf(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "hourOf"), part: "hour" };
}

/** The slot of 10 minutes in the day, 0–143, UTC. */
export function slotOf(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "slotOf"), part: "slot10" };
}

/** 0–1439, UTC. */
export function minuteOfDay(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "minuteOfDay"), part: "minuteOfDay" };
}

/** 0–6 from Sunday, UTC. */
export function dayOfWeek(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "dayOfWeek"), part: "dayOfWeek" };
}

/** 1–31, UTC. */
export function dayOfMonth(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "dayOfMonth"), part: "dayOfMonth" };
}

/** 1–12, UTC. */
export function monthOf(dateColumn: string): FieldSpec {
  return { kind: "datePart", column: columnName(dateColumn, "monthOf"), part: "month" };
}

/** floor(value / width), as a key. */
export function bucket(numberColumn: string, width: number): FieldSpec {
  checkPositive({ call: "bucket", name: "width", value: width, remedy: "give a width above 0, as 50" });
  return { kind: "bucket", column: columnName(numberColumn, "bucket"), width };
}

/** (value − mean) / stddev, as a number for the dense tower. */
export function standardise(numberColumn: string, { mean, stddev }: { mean: number; stddev: number }): FieldSpec {
  if (!Number.isFinite(mean)) throw new RangeError(`standardise(): mean must be a finite number, got ${show(mean)}`);
  checkPositive({
    call: "standardise",
    name: "stddev",
    value: stddev,
    remedy: "leave a constant column out of the fields",
  });
  return { kind: "standardise", column: columnName(numberColumn, "standardise"), mean, stddev };
}

/** A label: 1 where the column is at least `threshold`, else 0. */
export function atLeast(numberColumn: string, threshold: number): LabelSpec {
  if (!Number.isFinite(threshold)) {
    throw new RangeError(
      `atLeast(): threshold must be a finite number, got ${show(threshold)}; write atLeast("delay", 15)`,
    );
  }
  return { kind: "atLeast", column: columnName(numberColumn, "atLeast"), threshold };
}

/** Holds out the rows whose date is at or after `instant`: ISO 8601, UTC where it names no zone. */
export function since(dateColumn: string, instant: string): SplitSpec {
  if (typeof instant !== "string")
    throw new TypeError(`since(): the instant is ${show(instant)}; write it as "2001-06-13T08:02"`);
  microsOf(instant);
  return { kind: "since", column: columnName(dateColumn, "since"), instant };
}

function fieldOf(part: FieldLike, place: string): FieldSpec {
  if (typeof part === "string") return { kind: "column", column: columnName(part, place) };
  if (typeof part === "object" && part !== null && "kind" in part) return part;
  throw new TypeError(`${place}: ${show(part)} is no field; write a column's name or a field, as hourOf("date")`);
}

function columnName(name: string, place: string): string {
  if (typeof name === "string" && name.length >= 1 && name.length <= 200) return name;
  const reason =
    typeof name === "string" ? `a column's name of ${name.length} characters (1 to 200 are allowed)` : show(name);
  throw new TypeError(`${place}: got ${reason}; expected the name of a column, as "origin"`);
}

function checkName(name: string): string {
  if (name === "") throw new TypeError("parquet(): a field has an empty name; name it as the model's input");
  return name;
}

function checkPositive({
  call,
  name,
  value,
  remedy,
}: {
  call: string;
  name: string;
  value: number;
  remedy: string;
}): void {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return;
  throw new RangeError(`${call}(): ${name} must be a finite number above 0, got ${show(value)}; ${remedy}`);
}

function show(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : `${value as string | number}`;
}
