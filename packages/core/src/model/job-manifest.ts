/**
 * From a job as its author wrote it to the job manifest: pure data, and the same bytes every time. The tower is built
 * anew from its description with every initializer seeded, so initial weights are a function of (job, seed) alone.
 */
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { FieldSpec } from "../data/data-spec.ts";
import { didYouMean, quoted } from "../data/nearest-name.ts";
import { LIMITS } from "../limits.ts";
import { jobManifestSchema, type JobManifest, type VariableSpec } from "../job/manifest.ts";
import type { TableSpec } from "../partition/table-spec.ts";
import { checkInteger } from "./author-error.ts";
import { defineJob, type JobArgs, type JobDefinition } from "./define-job.ts";
import { activationOf, forEachLayer, withCanonicalNames, withSeeds, type Topology } from "./topology.ts";
import { splitModel, towerFromManifest, type SplitModel } from "./tower.ts";

/** Everything a coordinator needs to begin a job. */
export interface PreparedJob {
  manifest: JobManifest;
  /** float32, every variable of `manifest.model.variables` in order. */
  denseWeights: Float32Array;
  /** What the author should know, though it is no error. */
  warnings: string[];
}

export interface ManifestOptions {
  /** The job starts once this many workers are ready. */
  workersMin: number;
}

/**
 * The manifest of a job, with initial dense weights drawn from its seed.
 *
 * @throws {TypeError} a model the cluster cannot train, or one that does not fit the data
 */
export async function manifestOf(definition: JobDefinition, options: ManifestOptions): Promise<PreparedJob> {
  const model: unknown = await definition.model();
  if (!isLayersModel(model)) {
    throw new TypeError(
      `job "${definition.name}": model() gave ${describe(model)}; return what tf.model({ inputs, outputs }) makes`,
    );
  }
  try {
    return await prepare({ model, definition, options, weights: "seeded" });
  } finally {
    model.dispose();
  }
}

/**
 * The manifest of a job given as a model object, with its dense weights as they are. The model is left untouched, and
 * stays the caller's.
 */
export async function manifestOfModel(
  model: LayersModel,
  job: Omit<JobArgs, "model">,
  options: ManifestOptions,
): Promise<PreparedJob> {
  return prepare({ model, definition: defineJob({ ...job, model: () => model }), options, weights: "kept" });
}

interface Preparation {
  model: LayersModel;
  definition: JobDefinition;
  options: ManifestOptions;
  weights: "seeded" | "kept";
}

async function prepare({ model, definition, options, weights }: Preparation): Promise<PreparedJob> {
  const { name, seed, data, compile, fit } = definition;
  checkInteger(`job "${name}": workersMin`, options.workersMin, { min: 1, max: LIMITS.workersPerJobMax, usual: 2 });
  const split = splitModel(model);
  const named = withCanonicalNames(split.topology);
  const topology = withSeeds(named.topology, seed);
  checkTower(topology, definition);
  const fields = fieldsOf(split, definition);
  const tower = await towerFromManifest({ topology });
  try {
    const source = weights === "seeded" ? tower.weights : weightsOf(tower, model, named.nameBefore);
    const manifest = jobManifestSchema.parse({
      name,
      seed,
      model: {
        topology,
        embeddings: split.embeddings,
        numbers: split.numbers,
        variables: tower.weights.map(variableSpecOf),
      },
      tables: tablesOf(split, definition),
      data: { ...data, fields },
      compile: { optimizer: compile.optimizer, loss: compile.loss, metrics: [...compile.metrics] },
      fit: { ...fit },
      workersMin: options.workersMin,
    } satisfies JobManifest);
    return { manifest, denseWeights: await flatten(source), warnings: warningsOf(topology, definition, fields) };
  } finally {
    tower.dispose();
  }
}

function isLayersModel(model: unknown): model is LayersModel {
  const { inputs, outputs, toJSON } = (model ?? {}) as Partial<LayersModel>;
  return Array.isArray(inputs) && Array.isArray(outputs) && typeof toJSON === "function";
}

function describe(value: unknown): string {
  return value === null || typeof value !== "object"
    ? String(value)
    : `an object of class ${value.constructor?.name ?? "?"}`;
}

// -- dense weights -------------------------------------------------------------------------------------------

function variableSpecOf({ originalName, shape, trainable, dtype }: LayerVariable): VariableSpec {
  if (dtype !== "float32") throw new TypeError(`weight "${originalName}" is ${dtype}; dense weights must be float32`);
  return { name: originalName, shape: [...(shape as number[])], trainable };
}

/** The author's weights in the order of the tower's, found through the names of their layers. */
function weightsOf(tower: LayersModel, model: LayersModel, nameBefore: ReadonlyMap<string, string>): LayerVariable[] {
  const theirs = new Map<number, LayerVariable>();
  for (const layer of tower.layers) {
    if (layer.weights.length === 0) continue;
    const { weights } = model.getLayer(nameBefore.get(layer.name) ?? layer.name);
    for (const [i, weight] of layer.weights.entries()) theirs.set(weight.id, weights[i]!);
  }
  return tower.weights.map(({ id }) => theirs.get(id)!);
}

async function flatten(weights: readonly LayerVariable[]): Promise<Float32Array> {
  const values = await Promise.all(weights.map((weight) => weight.read().data()));
  const flat = new Float32Array(values.reduce((floats, { length }) => floats + length, 0));
  let at = 0;
  for (const part of values) {
    flat.set(part, at);
    at += part.length;
  }
  return flat;
}

// -- tables --------------------------------------------------------------------------------------------------

/** One table for each name, by name, ids from 1; id 0 is the reserved table of dense variables. */
function tablesOf({ embeddings, layers }: SplitModel, { compile }: JobDefinition): TableSpec[] {
  const tables = new Map<string, { table: Omit<TableSpec, "id">; field: string }>();
  for (const [i, { table: name, dim, field }] of embeddings.entries()) {
    const { initializer, optimizer } = layers[i]!;
    const table = { name, dim, initializer, optimizer: optimizer ?? compile.sparseOptimizer };
    const first = tables.get(name);
    if (!first) tables.set(name, { table, field });
    else refuseDifferences(first, { table, field });
  }
  return [...tables.values()]
    .map(({ table }) => table)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((table, i) => ({ id: i + 1, ...table }));
}

interface TableUse {
  table: Omit<TableSpec, "id">;
  field: string;
}

function refuseDifferences(first: TableUse, other: TableUse): void {
  for (const property of ["dim", "initializer", "optimizer"] as const) {
    const [a, b] = [JSON.stringify(first.table[property]), JSON.stringify(other.table[property])];
    if (a === b) continue;
    throw new TypeError(
      `table "${first.table.name}" has ${property} ${a} for field "${first.field}" and ${b} for field "${other.field}"; ` +
        `embeddings that share a table must agree: use one embedding() for both, or name two tables`,
    );
  }
}

// -- data ----------------------------------------------------------------------------------------------------

/** The fields the model reads, checked against those the data has. */
function fieldsOf({ embeddings, numbers }: SplitModel, { name: job, data }: JobDefinition): Record<string, FieldSpec> {
  const known = Object.keys(data.fields);
  const demands = [
    ...embeddings.map(({ field }) => ({ field, as: "keys" as const })),
    ...numbers.map(({ field }) => ({ field, as: "numbers" as const })),
  ];
  for (const { field, as } of demands) {
    const spec = data.fields[field];
    if (!spec || !Object.hasOwn(data.fields, field)) {
      throw new TypeError(
        `job "${job}": the model has an input "${field}", and the data has no such field; it has ${quoted(known)}.` +
          `${didYouMean(field, known)} Add it to the fields of the data, or rename the input`,
      );
    }
    checkDemand({ job, field, as, kind: spec.kind });
  }
  const demanded = new Set(demands.map(({ field }) => field));
  return Object.fromEntries(Object.entries(data.fields).filter(([field]) => demanded.has(field)));
}

function checkDemand({
  job,
  field,
  as,
  kind,
}: {
  job: string;
  field: string;
  as: "keys" | "numbers";
  kind: FieldSpec["kind"];
}): void {
  if (as === "keys" && kind === "standardise") {
    throw new TypeError(
      `job "${job}": field "${field}" is made by standardise(), which gives numbers, and the model embeds it; use bucket() to make keys`,
    );
  }
  if (as === "numbers" && (kind === "hash" || kind === "cross")) {
    throw new TypeError(
      `job "${job}": field "${field}" is made by ${kind}(), which gives keys, and the model takes it for numbers; give its input an embedding()`,
    );
  }
}

// -- the tower -----------------------------------------------------------------------------------------------

/** What would train, and train wrongly. */
function checkTower(topology: Topology, { name: job, compile }: JobDefinition): void {
  forEachLayer(topology, ({ config }) => {
    const constrained = Object.entries(config).find(([key, value]) => key.endsWith("_constraint") && value !== null);
    if (!constrained) return;
    throw new TypeError(
      `job "${job}": layer "${config.name}" has a ${constrained[0]}; constraints are not supported: use a regularizer`,
    );
  });
  const [output] = topology.config.output_layers;
  const layer = topology.config.layers.find(({ name }) => name === output![0])!;
  const activation = activationOf(layer);
  const isProbability =
    activation === undefined ? !SUMS.includes(layer.class_name) : PROBABILITIES.includes(activation);
  if (compile.loss === "binaryCrossentropy" && !isProbability) {
    throw new TypeError(
      `job "${job}": binaryCrossentropy needs a probability, and the output is layer "${layer.name}" with ` +
        `${activation === undefined ? "no activation" : `activation "${activation}"`}; end in activation: "sigmoid"`,
    );
  }
}

/** Activations that end between 0 and 1. */
const PROBABILITIES: readonly string[] = ["sigmoid", "hard_sigmoid", "softmax"];
/** Layers whose output can be any number. */
const SUMS: readonly string[] = ["Add", "Subtract", "Concatenate", "VolaryFm"];

/** Layers that draw random numbers no seed reaches. */
const UNSEEDED: readonly string[] = ["GaussianNoise", "GaussianDropout", "AlphaDropout"];

function warningsOf(topology: Topology, { data }: JobDefinition, used: Record<string, FieldSpec>): string[] {
  const warnings = Object.keys(data.fields)
    .filter((field) => !Object.hasOwn(used, field))
    .map((field) => `data field "${field}" is no input of the model; it is left out`);
  forEachLayer(topology, ({ class_name: className, config: { name } }) => {
    if (className === "BatchNormalization") {
      warnings.push(
        `layer "${name}": moving averages are not trained yet, so predictions use its initial ones; use tf.layers.layerNormalization`,
      );
    }
    if (UNSEEDED.includes(className))
      warnings.push(`layer "${name}": ${className} draws unseeded random numbers, so runs will differ`);
  });
  return warnings;
}
