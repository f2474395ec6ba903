/**
 * A first job for a file nobody has trained on: every column as what it looks like, a label where one can be guessed,
 * a small tower. It runs as it stands; what is better is for its author to find out.
 */
import type { ColumnReport, FileReport } from "@volary/node-worker";

/** Names that a label often has. */
const LABELS = ["label", "target", "y", "clicked", "click", "is_click", "converted", "conversion", "class", "rating"];
/** Words for a label of 1. */
const YES = ["yes", "y", "true", "t", "positive", "spam"];
/** A column of text or integers that differs in nearly every row says nothing that could be learnt. */
const NEARLY_ALL = 0.95;
/** Integers of fewer values than this share of the rows may be ids of something; of more, amounts or row numbers. */
const ID_SHARE = 0.5;
/** Integers of few values are codes, whatever their name; integers this large are rarely amounts. */
const CODES_MAX = 12;
const ID_MIN = 1_000_000;
/** Words in the names of ids; integers of other names are amounts, whose order means something. */
const ID_WORDS = new Set(
  (
    "id ids key code zip zipcode postcode user item product customer client account device movie film song track " +
    "artist book article page store shop seller merchant session station route category brand sku resource"
  ).split(" "),
);
/** A text with it is a list, as "Action|Comedy". */
const LIST_SEPARATOR = "|";

interface SuggestedField {
  /** A name that tfjs takes. */
  name: string;
  /** As written in the job. */
  field: string;
  input: string;
  /** Floats of its rows; undefined for a number. */
  dim?: number;
  isList: boolean;
}

/**
 * @param o.path of the file, as the job names it
 * @returns undefined where no column is of use
 */
export function suggestedJob(report: FileReport, { path }: { path: string }): string | undefined {
  if (report.format.kind === "table") return undefined;
  const label = labelOf(report);
  const fields = report.columns
    .filter((column) => column !== label?.column)
    .flatMap((column) => fieldsOf(column, report));
  if (fields.length === 0) return undefined;
  const isBinary = label?.isBinary ?? true;
  const embedded = fields.filter(({ dim }) => dim !== undefined);
  const numbers = fields.filter(({ dim }) => dim === undefined);
  const words = ["defineJob", "fraction", builderOf(report), "input", "through"];
  if (embedded.length > 0) words.push("adagrad", "embedding");
  if (label?.column.type === "string") words.push("equals");
  for (const word of ["standardise", "withDefault", "hourOf", "dayOfWeek", "split"]) {
    if (fields.some(({ field }) => field.includes(`${word}(`))) words.push(word);
  }
  const parts = [
    ...embedded.map(
      ({ name, dim, isList }) =>
        `embedding({ table: ${text(name)}, dim: ${dim}${isList ? ', combiner: "mean"' : ""} }).apply(inputs${member(name)})`,
    ),
    ...numbers.map(({ name }) => `inputs${member(name)}`),
  ];
  return `import * as tf from "@tensorflow/tfjs";
import { ${words.toSorted().join(", ")} } from "@volary/core";

export default defineJob({
  name: ${text(nameOf(path))},
  data: ${builderOf(report)}(${text(path)}, {${optionsOf(report)}
    fields: {
${fields.map(({ name, field }) => `      ${property(name)}: ${field},`).join("\n")}
    },
${label === undefined ? '    // label: "…", // no column looks like what is to be predicted\n' : `    label: ${label.label},\n`}    test: fraction(0.1),
${report.badRows > 0 ? `    badRowsMax: ${10 * report.badRows}, // of the rows looked at, ${report.badRows} are bad\n` : ""}  }),
  model() {
    const inputs = {
${fields.map(({ name, input }) => `      ${property(name)}: ${input},`).join("\n")}
    };
    const parts = [
${parts.map((part) => `      ${part},`).join("\n")}
    ];
    const prediction = through(
      parts,${parts.length > 1 ? "\n      tf.layers.concatenate()," : ""}
      tf.layers.dense({ units: 32, activation: "relu" }),
      tf.layers.dense({ units: 1${isBinary ? ', activation: "sigmoid"' : ""} }),
    );
    return tf.model({ inputs: Object.values(inputs), outputs: prediction });
  },
  compile: {
    optimizer: "adam",
${embedded.length > 0 ? "    sparseOptimizer: adagrad({ learningRate: 0.1 }),\n" : ""}    loss: ${isBinary ? '"binaryCrossentropy"' : '"meanSquaredError"'},
    metrics: [${isBinary ? '"auc"' : ""}],
  },
  fit: { epochs: 5, batchSize: ${Math.max(1, Math.min(1024, Math.floor(report.rows / 20)))} },
});
`;
}

export interface SuggestedLabel {
  column: ColumnReport;
  isBinary: boolean;
  /** As written in the job. */
  label: string;
}

/** A column that is named as labels are, else one of zeros and ones, else the last one if it has two words, else none. */
export function labelOf({ columns }: FileReport): SuggestedLabel | undefined {
  const candidates = columns.flatMap((column) => asLabel(column) ?? []);
  return (
    candidates.find(({ column }) => LABELS.includes(column.name.toLowerCase())) ??
    candidates.findLast(({ column, isBinary }) => isBinary && column.type !== "string") ??
    candidates.find(({ column }) => column === columns.at(-1) && column.type === "string")
  );
}

function asLabel(column: ColumnReport): SuggestedLabel | undefined {
  const { name, type, missing, distinct, min, max, examples } = column;
  if (missing > 0) return undefined;
  if (type === "number" || type === "int64") {
    return { column, isBinary: distinct === 2 && min === "0" && max === "1", label: text(name) };
  }
  if (type !== "string" || distinct !== 2) return undefined;
  // The first word of a file is rather that of the many.
  const yes = examples.find((word) => YES.includes(word.toLowerCase())) ?? examples[1]!;
  return { column, isBinary: true, label: `equals(${text(name)}, ${text(yes)})` };
}

function fieldsOf(column: ColumnReport, { rows, format }: FileReport): SuggestedField[] {
  const { type, missing, distinct } = column;
  const name = column.name.replaceAll(/[^A-Za-z0-9._]/g, "_").replace(/^[^A-Za-z0-9]+/, "") || "field";
  const quoted = text(column.name);
  const isEmpty = missing === rows;
  if (isEmpty) return [];
  const dim = dimOf(distinct);
  switch (type) {
    case "timestamp":
      if (missing > 0) return [];
      return [
        key(`${name}_hour`, `hourOf(${quoted})`, "int32", 4),
        key(`${name}_weekday`, `dayOfWeek(${quoted})`, "int32", 4),
      ];
    case "string":
      if (column.examples.some((value) => value.includes(LIST_SEPARATOR)))
        return [list(name, `split(${quoted}, ${text(LIST_SEPARATOR)})`, "string", dim)];
      if (distinct > NEARLY_ALL * rows && rows > 100) return [];
      return [key(name, missing > 0 ? `withDefault(${quoted}, "missing")` : quoted, "string", dim)];
    case "int64":
      if (distinct <= ID_SHARE * rows && looksLikeId(column)) {
        return [key(name, missing > 0 ? `withDefault(${quoted}, -1)` : quoted, "int64", dim)];
      }
      // Row numbers and the like.
      if (distinct > NEARLY_ALL * rows && rows > 100 && !isNegative(column)) return [];
      return [number(name, quoted, column)];
    case "number":
      return [number(name, quoted, column)];
    case "string[]":
    case "int64[]": {
      return [list(name, quoted, type === "string[]" ? "string" : "int64", dim)];
    }
    case "number[]": {
      // Lists of one length are vectors; others mean something only their author knows.
      if (format.kind === "libsvm" || column.min !== column.max || column.min === "0") return [];
      return [
        {
          name,
          field: quoted,
          input: `input({ name: ${text(name)}, dtype: "float32", shape: [${column.min}] })`,
          isList: false,
        },
      ];
    }
    default:
      return type satisfies never;
  }
}

function key(name: string, field: string, dtype: string, dim: number): SuggestedField {
  return { name, field, input: `input({ name: ${text(name)}, dtype: "${dtype}" })`, dim, isList: false };
}

function list(name: string, field: string, dtype: string, dim: number): SuggestedField {
  return { name, field, input: `input({ name: ${text(name)}, dtype: "${dtype}", shape: [null] })`, dim, isList: true };
}

function number(name: string, quoted: string, { missing, mean, distinct }: ColumnReport): SuggestedField {
  const present = missing > 0 ? `withDefault(${quoted}, ${Number((mean ?? 0).toPrecision(6))})` : quoted;
  // A column of one value has no spread to divide by.
  const field = distinct > 1 ? `standardise(${present})` : present;
  return { name, field, input: `input({ name: ${text(name)}, dtype: "float32" })`, isList: false };
}

/** Rows of rare values are short: there is little to learn them from. */
const dimOf = (distinct: number): number => Math.min(32, Math.max(4, 2 ** Math.round(Math.log2(distinct) / 2)));

function builderOf({ format }: FileReport): string {
  if (format.kind === "csv" && format.delimiter === "\t") return "tsv";
  return format.kind;
}

function optionsOf({ format, columns }: FileReport): string {
  const options: string[] = [];
  if (format.kind === "csv" && format.delimiter !== "\t" && format.delimiter !== ",") {
    options.push(`delimiter: ${text(format.delimiter)},`);
  }
  if (format.kind === "csv" && !format.header) options.push("header: false,");
  if (format.kind === "csv" || format.kind === "jsonl") {
    options.push(`types: { ${columns.map(({ name, type }) => `${property(name)}: "${type}"`).join(", ")} },`);
  }
  return options.map((option) => `\n    ${option}`).join("");
}

function looksLikeId(column: ColumnReport): boolean {
  if (isNegative(column)) return false;
  if (column.distinct <= CODES_MAX || Number(column.max) >= ID_MIN) return true;
  const words = column.name.split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/).map((word) => word.toLowerCase());
  return words.some((word) => ID_WORDS.has(word));
}

/** No id is. */
const isNegative = ({ min = "" }: ColumnReport): boolean => min.startsWith("-");
const text = (value: string): string => JSON.stringify(value);
const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name);
const property = (name: string): string => (isIdentifier(name) ? name : text(name));
const member = (name: string): string => (isIdentifier(name) ? `.${name}` : `[${text(name)}]`);
const nameOf = (path: string): string => /(?<name>[^/\\.]+)[^/\\]*$/.exec(path)?.groups?.["name"] ?? "job";
