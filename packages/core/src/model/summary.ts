/**
 * What a job consists of, for people, as `model.summary()` prints it: the layers of its tower, the embedding tables on
 * the parameter servers, and what a row and a worker hold in memory.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { FieldSpec } from "../data/spec/data-spec.ts";
import { bytesText, grouped } from "../figures.ts";
import type { JobManifest } from "../job/manifest.ts";
import { optimizerOf, type OptimizerSpec } from "../optimizer/index.ts";
import { weightsBytes } from "../table/row-layout.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { isEmbedding } from "./layers/embedding.ts";
import { automaticStem } from "./tower/topology.ts";

/**
 * The summary of a job with this model, in lines: layers, tables, dense weights.
 *
 * @param model as its author wrote it, embeddings and all; undefined where a training function needs none
 */
export function jobSummary(manifest: JobManifest, model: LayersModel | undefined): string {
  return [...(model ? [...layersText(model), ""] : []), ...tablesText(manifest), "", ...denseText(manifest)].join("\n");
}

/** The layers of a model, in lines; an embedding's rows are on the parameter servers. */
export function modelSummary(model: LayersModel): string {
  return layersText(model).join("\n");
}

function layersText(model: LayersModel): string[] {
  const names = namesOf(model.layers);
  const rows = model.layers.map((layer, i) => {
    const shape = layer.outputShape;
    const shapes = Array.isArray(shape[0]) ? (shape as unknown[][]) : [shape as unknown[]];
    const params = isEmbedding(layer) ? `table "${layer.table}"` : grouped(layer.countParams());
    return [`${names[i]} (${layer.getClassName()})`, shapes.map((each) => JSON.stringify(each)).join(" "), params];
  });
  return table(["LAYER (CLASS)", "OUTPUT", "PARAMS"], rows);
}

/** tfjs numbers what it names over all models of a process; here they count from 1. */
function namesOf(layers: LayersModel["layers"]): string[] {
  const seen = new Map<string, number>();
  return layers.map((layer) => {
    const stem = automaticStem(layer.getClassName(), layer.name);
    if (stem === undefined) return layer.name;
    const number = (seen.get(stem) ?? 0) + 1;
    seen.set(stem, number);
    return `${stem}_${number}`;
  });
}

function tablesText({ tables, model, data }: JobManifest): string[] {
  if (tables.length === 0) return ["No embedding tables: the dense weights are all there is."];
  const rows = tables.map((spec) => {
    const fields = model.embeddings.filter((use) => use.table === spec.name).map(({ field }) => field);
    const bytes = bytesPerRow(spec);
    const keys = keysOf(fields.map((field) => data.fields[field]));
    return [
      spec.name,
      spec.dtype === undefined ? String(spec.dim) : `${spec.dim} ${spec.dtype}`,
      optimizerText(spec.optimizer),
      [...new Set(fields)].join(", "),
      bytes === undefined ? "as its plugin says" : String(bytes),
      keys === undefined
        ? "as keys come"
        : `${grouped(keys)} rows${bytes === undefined ? "" : `, ${bytesText(keys * bytes)}`}`,
    ];
  });
  return table(["TABLE", "DIM", "OPTIMIZER", "FIELDS", "BYTES/ROW", "AT MOST"], rows);
}

function denseText({ model, compile }: JobManifest): string[] {
  const floats = (trainable: boolean) =>
    model.variables
      .filter((variable) => variable.trainable === trainable)
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const [trained, fixed] = [floats(true), floats(false)];
  const state = optimizerOf(compile.optimizer).stateWidth(trained + fixed);
  return [
    `Dense weights: ${grouped(trained)} trained${fixed > 0 ? `, ${grouped(fixed)} fixed` : ""}; ` +
      `${bytesText(4 * (trained + fixed + state))} on each worker with ${optimizerText(compile.optimizer)}'s state`,
  ];
}

/** Key, count and step of a row, and its share of a hash table that is half full. */
const BOOKKEEPING_BYTES = 24;

/** Undefined for a server update of a plugin, which is not loaded here. */
function bytesPerRow({ dim, dtype = "float32", optimizer }: TableSpec): number | undefined {
  if (optimizer.kind === "custom") return undefined;
  return weightsBytes(dtype, dim) + 4 * optimizerOf(optimizer).stateWidth(dim) + BOOKKEEPING_BYTES;
}

function optimizerText(spec: OptimizerSpec): string {
  return spec.kind === "custom" ? spec.update : spec.kind;
}

/** The most keys that fields sharing a table can have; undefined where only the data can tell. */
function keysOf(fields: readonly (FieldSpec | undefined)[]): number | undefined {
  const counts = fields.map((field) => (field === undefined ? undefined : vocabularyOf(field)));
  return counts.reduce(
    (sum: number | undefined, each) => (sum === undefined || each === undefined ? undefined : sum + each),
    0,
  );
}

const DATE_PARTS = { hour: 24, slot10: 144, minuteOfDay: 1440, dayOfWeek: 7, dayOfMonth: 31, month: 12 } as const;

function vocabularyOf(field: FieldSpec): number | undefined {
  switch (field.kind) {
    case "datePart":
      return DATE_PARTS[field.part];
    case "quantiles":
      return field.buckets;
    case "negatives":
      return field.vocabulary;
    case "hash":
      return vocabularyOf(field.of);
    case "cross":
      return field.of.reduce((product: number | undefined, part) => {
        const keys = vocabularyOf(part);
        return product === undefined || keys === undefined ? undefined : product * keys;
      }, 1);
    default:
      return undefined;
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}
