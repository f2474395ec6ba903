/**
 * From a job as its author wrote it to the job manifest: pure data, and the same bytes every time. The tower is built
 * anew from its description with every initializer seeded, so initial weights are a function of (job, seed) alone.
 */
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { FieldSpec } from "../data/spec/data-spec.ts";
import type { FieldDemand } from "../data/spec/dataset.ts";
import { didYouMean, quoted } from "../data/spec/nearest-name.ts";
import { LIMITS } from "../limits.ts";
import {
  fieldDemands,
  jobManifestSchema,
  type ClipSpec,
  type JobManifest,
  type VariableSpec,
} from "../job/manifest.ts";
import { checkLabels } from "../job/label-shape.ts";
import { monitoredOf } from "../job/monitor.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { Plugins } from "../plugin/index.ts";
import { checkInteger } from "./layers/author-error.ts";
import { tableRowsOf, type TableRows } from "./convert-embeddings.ts";
import { defineJob, type JobArgs, type JobDefinition } from "./define-job.ts";
import { input } from "./layers/input.ts";
import { jobSummary, modelSummary } from "./summary.ts";
import { concatenated, jobPartsOf, type JobParts } from "./function-job.ts";
import { activationOf, forEachLayer, withCanonicalNames, withSeeds, type Topology } from "./tower/topology.ts";
import { splitModel, towerFromManifest, type SplitModel } from "./tower/tower.ts";
import { functionRefOf, isTrainingFunction } from "./tower/training-function.ts";

/** Everything a coordinator needs to begin a job. */
export interface PreparedJob {
  manifest: JobManifest;
  /** float32, every variable of `manifest.model.variables` in order. */
  denseWeights: Float32Array;
  /** Rows that tables start from, of a model that `convertEmbeddings` made; to be stored before training. */
  tableRows: readonly TableRows[];
  /** What the author should know, though it is no error. */
  warnings: string[];
  /** Layers, tables and dense weights, for people, in lines. */
  summary: string;
}

export interface ManifestOptions {
  /** The job starts once this many workers are ready. */
  workersMin: number;
  /** Plugin files that the job's functions are looked for in; none by default. */
  plugins?: Plugins;
}

/**
 * The manifest of a job, with initial dense weights drawn from its seed.
 *
 * @throws {TypeError} a model the cluster cannot train, or one that does not fit the data
 */
export async function manifestOf(definition: JobDefinition, options: ManifestOptions): Promise<PreparedJob> {
  if (!definition.model) return prepare({ model: undefined, definition, options, weights: "seeded" });
  const model: unknown = await definition.model({ input });
  if (!isLayersModel(model)) {
    throw new TypeError(
      `job "${definition.name}": model() gave ${describe(model)}; return what tf.model({ inputs, outputs }) makes`,
    );
  }
  try {
    // Rows that come along were trained together with the dense weights around them.
    const weights = tableRowsOf(model).length > 0 ? "kept" : "seeded";
    return await prepare({ model, definition, options, weights });
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

/**
 * What a model or a job consists of, for people: layers, and of a job its tables and dense weights too.
 *
 * @throws {TypeError} a job whose model does not fit its data
 * @example console.log(await summary(job));
 */
export async function summary(of: LayersModel | JobDefinition): Promise<string> {
  return isLayersModel(of) ? modelSummary(of) : (await manifestOf(of, { workersMin: 1 })).summary;
}

interface Preparation {
  /** Undefined where a training function needs none. */
  model: LayersModel | undefined;
  definition: JobDefinition;
  options: ManifestOptions;
  weights: "seeded" | "kept";
}

async function prepare({ model, definition, options, weights }: Preparation): Promise<PreparedJob> {
  const { name, seed, data, compile, fit } = definition;
  checkInteger(`job "${name}": workersMin`, options.workersMin, { min: 1, max: LIMITS.workersPerJobMax, usual: 2 });
  const built = model && (await buildTower(model, definition));
  try {
    const parts = jobPartsOf(built?.split, definition);
    const fields = fieldsOf(parts, definition);
    checkHeldOut(definition);
    const { loss } = compile;
    const manifest = jobManifestSchema.parse({
      name,
      seed,
      model: {
        ...(built ? { topology: built.topology } : {}),
        embeddings: parts.embeddings,
        numbers: parts.numbers,
        outputs: parts.outputs,
        variables: [...(built?.tower.weights.map(variableSpecOf) ?? []), ...parts.variables],
      },
      tables: tablesOf(parts, definition),
      data: { ...data, fields },
      compile: {
        optimizer: compile.optimizer,
        loss: isTrainingFunction(loss) ? functionRefOf(options.plugins ?? Plugins.none, loss) : loss,
        metrics: [...compile.metrics],
        ...(compile.clip === undefined ? {} : { clip: compile.clip }),
      },
      fit: { ...fit },
      workersMin: options.workersMin,
    } satisfies JobManifest);
    checkLabelsOf(manifest);
    const source = built && (weights === "seeded" ? built.tower.weights : weightsOf(built, model));
    return {
      manifest,
      denseWeights: concatenated([...(source ? [await flatten(source)] : []), parts.denseWeights]),
      tableRows: model ? tableRowsOf(model) : [],
      warnings: warningsOf(built?.topology, definition, fields),
      summary: jobSummary(manifest, model),
    };
  } finally {
    built?.tower.dispose();
  }
}

interface BuiltTower {
  split: SplitModel;
  topology: Topology;
  tower: LayersModel;
  /** The author's names of layers, by the manifest's. */
  nameBefore: ReadonlyMap<string, string>;
}

/** The tower of a model, built anew from its description; whoever asked disposes it. */
async function buildTower(model: LayersModel, definition: JobDefinition): Promise<BuiltTower> {
  const split = splitModel(model);
  const { topology: renamed, nameBefore } = withCanonicalNames(split.topology);
  const topology = withSeeds(renamed, definition.seed);
  checkTower(topology, definition);
  // Inputs that their author did not name are renamed, too; the rows' come first.
  const inputs = topology.config.input_layers.map(([name]) => name).slice(split.embeddings.length);
  const numbers = split.numbers.map((use, i) => ({ ...use, input: inputs[i]! }));
  return { split: { ...split, numbers }, topology, nameBefore, tower: await towerFromManifest({ topology }) };
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
function weightsOf({ tower, nameBefore }: BuiltTower, model: LayersModel): LayerVariable[] {
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
function tablesOf({ embeddings, layers }: JobParts, { compile }: JobDefinition): TableSpec[] {
  const tables = new Map<string, { table: Omit<TableSpec, "id">; field: string }>();
  for (const [i, { table: name, dim, field }] of embeddings.entries()) {
    const { initializer, tableOptions } = layers[i]!;
    const defaults = { optimizer: compile.sparseOptimizer, ...tableClip(compile.clip) };
    const table = { name, dim, initializer, ...defaults, ...tableOptions };
    const first = tables.get(name);
    if (!first) tables.set(name, { table, field });
    else refuseDifferences(first, { table, field });
  }
  return [...tables.values()]
    .map(({ table }) => table)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((table, i) => ({ id: i + 1, ...table }));
}

/** The bounds of `compile.clip` that a single row can have; a global norm is of the dense gradients. */
function tableClip(clip: ClipSpec | undefined): Pick<TableSpec, "clip"> {
  const { value, norm } = clip ?? {};
  if (value === undefined && norm === undefined) return {};
  return { clip: { ...(value === undefined ? {} : { value }), ...(norm === undefined ? {} : { norm }) } };
}

interface TableUse {
  table: Omit<TableSpec, "id">;
  field: string;
}

function refuseDifferences(first: TableUse, other: TableUse): void {
  for (const property of [
    "dim",
    "dtype",
    "initializer",
    "optimizer",
    "l2",
    "maxNorm",
    "clip",
    "admission",
    "eviction",
  ] as const) {
    const [a, b] = [first, other].map(({ table }) => JSON.stringify(table[property]) ?? "none");
    if (a === b) continue;
    throw new TypeError(
      `table "${first.table.name}" has ${property} ${a} for field "${first.field}" and ${b} for field "${other.field}"; ` +
        `embeddings that share a table must agree: use one embedding() for both, or name two tables`,
    );
  }
}

// -- data ----------------------------------------------------------------------------------------------------

/** The fields the model reads, checked against those the data has. */
function fieldsOf({ embeddings, numbers }: JobParts, { name: job, data }: JobDefinition): Record<string, FieldSpec> {
  const known = Object.keys(data.fields);
  const demands = fieldDemands({ model: { embeddings, numbers } });
  for (const demand of demands) {
    const { name: field } = demand;
    const spec = data.fields[field];
    if (!spec || !Object.hasOwn(data.fields, field)) {
      throw new TypeError(
        `job "${job}": the model has an input "${field}", and the data has no such field; it has ${quoted(known)}.` +
          `${didYouMean(field, known)} Add it to the fields of the data, or rename the input`,
      );
    }
    const misfit = misfitOf(demand, makerOf(spec));
    if (misfit) throw new TypeError(`job "${job}": field "${field}" is made by ${misfit}`);
  }
  const demanded = new Set(demands.map(({ name }) => name));
  return Object.fromEntries(Object.entries(data.fields).filter(([field]) => demanded.has(field)));
}

/** What makes a field's values: `withDefault` only fills gaps. */
function makerOf(spec: FieldSpec): FieldSpec {
  return spec.kind === "withDefault" ? makerOf(spec.of) : spec;
}

const ONLY_NUMBERS: readonly FieldSpec["kind"][] = ["standardise", "log", "clip"];
const ONLY_KEYS: readonly FieldSpec["kind"][] = ["hash", "cross", "quantiles", "split", "negatives"];
const ONLY_LISTS: readonly FieldSpec["kind"][] = ["split", "negatives"];

/** What is wrong with a field made by `spec` where the model wants it so, if anything. */
function misfitOf({ as }: FieldDemand, spec: FieldSpec): string | undefined {
  const { kind } = spec;
  const wantsKeys = as === "keys" || as === "keyLists";
  if (wantsKeys && ONLY_NUMBERS.includes(kind))
    return `${kind}(), which gives numbers, and the model embeds it; use bucket() to make keys`;
  if (!wantsKeys && ONLY_KEYS.includes(kind))
    return `${kind}(), which gives keys, and the model takes it for numbers; give its input an embedding()`;
  if (as === "keys" && ONLY_LISTS.includes(kind)) {
    const shape = spec.kind === "negatives" ? `shape: [${spec.count}]` : "shape: [null] and its embedding a combiner";
    return `${kind}(), which gives a list of keys, and the model takes one key; give its input ${shape}`;
  }
  return undefined;
}

/** @throws {TypeError} labels that do not fit loss or metrics */
function checkLabelsOf(manifest: JobManifest): void {
  try {
    checkLabels(manifest);
  } catch (cause) {
    throw new TypeError(`job "${manifest.name}": ${(cause as Error).message}`, { cause });
  }
}

/** Early stopping that watches the held-out rows needs some. */
function checkHeldOut({ name, data, fit }: JobDefinition): void {
  const { earlyStopping } = fit;
  if (data.test !== undefined || earlyStopping === undefined) return;
  if (monitoredOf(earlyStopping.monitor).of === "training") return;
  throw new TypeError(
    `job "${name}": earlyStopping watches "${earlyStopping.monitor}" of the held-out rows, and the data holds none out; ` +
      `add test: fraction(0.1) to the data, or watch "loss"`,
  );
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

function warningsOf(
  topology: Topology | undefined,
  { data }: JobDefinition,
  used: Record<string, FieldSpec>,
): string[] {
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
