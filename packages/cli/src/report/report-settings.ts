/** What a job was told to do, as lines of a report: each a name and a text. */
import type { FileSpec } from "@volary/core/data";
import { grouped, plural } from "@volary/core/figures";
import type { JobManifest } from "@volary/core/job";
import type { OptimizerSpec } from "@volary/core/optimizer";

export type Setting = readonly [name: string, text: string];

const FILES_SHOWN = 5;
const LIST_SHOWN = 8;

export function settingsOf({ data, fit, compile, model, seed }: JobManifest): Setting[] {
  const { loss, optimizer, metrics, clip } = compile;
  const weights = model.variables.reduce((sum, { shape }) => sum + shape.reduce((all, size) => all * size, 1), 0);
  const settings: [string, string | undefined][] = [
    ["Data", `${data.files.slice(0, FILES_SHOWN).map(fileText).join(", ")}${more(data.files.length - FILES_SHOWN)}`],
    ["Format", specText(data.format)],
    ["Label", data.label && specText(data.label)],
    ["Held out", data.test && specText(data.test)],
    ["Row weight", data.weight && specText(data.weight)],
    ["Row group", data.group && specText(data.group)],
    ["Loss", typeof loss === "string" ? loss : loss.function],
    ["Metrics", metrics.join(", ") || undefined],
    ["Dense optimizer", optimizerText(optimizer)],
    ["Dense weights", `${grouped(weights)} in ${plural(model.variables.length, "variable")}`],
    ["Clipping", clip && pairsText(clip)],
    ["Batch size", grouped(fit.batchSize)],
    ["Epochs", grouped(fit.epochs)],
    ["Steps at most", fit.stepsMax === undefined ? undefined : grouped(fit.stepsMax)],
    ["Shuffled", fit.shuffle ? "yes" : "no"],
    ["Evaluated", validateText(fit.validate)],
    ["Early stopping", fit.earlyStopping && pairsText(fit.earlyStopping)],
    ["Class weights", fit.classWeight && pairsText(fit.classWeight)],
    ["Consistency", fit.consistency.mode],
    ["Seed", String(seed)],
  ];
  return settings.filter((setting): setting is [string, string] => setting[1] !== undefined);
}

/** How the fields are made of columns. */
export function fieldsOf({ data }: JobManifest): Setting[] {
  return Object.entries(data.fields).map(([name, spec]) => [name, specText(spec)]);
}

/**
 * Data that has a kind, as a call: { kind: "bucket", of: { kind: "column", column: "age" }, width: 10 } →
 * "bucket(age, 10)". A column is its name.
 */
function specText(spec: { readonly kind: string }): string {
  const { kind, ...rest } = spec;
  const args = Object.values(rest)
    .filter((value) => value !== undefined && !isEmpty(value))
    .map(valueText);
  if (kind === "column") return args.join(", ");
  return args.length === 0 ? kind : `${kind}(${args.join(", ")})`;
}

/** As "adagrad, learningRate 0.05, …". */
export function optimizerText({ kind, ...options }: OptimizerSpec): string {
  return [kind, pairsText(options)].filter((text) => text !== "").join(", ");
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) {
    const shown = value.slice(0, LIST_SHOWN).map(valueText).join(", ");
    return value.length > 1 ? `[${shown}${more(value.length - LIST_SHOWN)}]` : shown;
  }
  if (typeof value !== "object" || value === null) return String(value);
  return "kind" in value && typeof value.kind === "string"
    ? specText({ ...value, kind: value.kind })
    : pairsText(value);
}

const pairsText = (value: object): string =>
  Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([name, each]) => `${name} ${valueText(each)}`)
    .join(", ");

const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

const more = (count: number): string => (count > 0 ? `, … ${grouped(count)} more` : "");

/** Without what may be a secret: a report is passed on. */
function fileText(file: FileSpec): string {
  switch (file.kind) {
    case "npm":
    case "file":
      return file.path;
    case "s3":
      return `s3://${file.bucket}/${file.key}`;
    case "http": {
      const url = URL.parse(file.url);
      return url ? `${url.origin}${url.pathname}` : "an http address";
    }
    default:
      return file satisfies never;
  }
}

function validateText(validate: JobManifest["fit"]["validate"]): string {
  if (validate === "end") return "at the end";
  if (validate === "epoch") return "after each epoch";
  return "everySteps" in validate
    ? `every ${plural(validate.everySteps, "step")}`
    : `every ${plural(validate.everyEpochs, "epoch")}`;
}
