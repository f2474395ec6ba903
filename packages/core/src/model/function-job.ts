/**
 * What a training function adds to its job's manifest: rows and numbers it asks for beside the model's, variables of
 * its own, and, where there is no model, everything.
 */
import type { EmbeddingUse, NumberUse, Usage, VariableSpec } from "../job/manifest.ts";
import { initializerOf } from "../table/index.ts";
import type { JobDefinition } from "./define-job.ts";
import { embedding, type VolaryEmbedding } from "./layers/embedding.ts";
import { rowNames } from "./tower/function-model.ts";
import type { SplitModel } from "./tower/tower.ts";
import { isTrainingFunction, type FunctionRows, type TrainingFunction } from "./tower/training-function.ts";

/** A job's parts: its model's, then its function's. Without a model there is no topology. */
export interface JobParts {
  embeddings: EmbeddingUse[];
  /** The layer of each use, in the order of `embeddings`. */
  layers: VolaryEmbedding[];
  numbers: NumberUse[];
  outputs: number;
  /** The function's own. */
  variables: VariableSpec[];
  /** First values of `variables`, a pure function of the job's seed. */
  denseWeights: Float32Array;
}

/**
 * @param split the job's model, where it has one
 * @throws {TypeError} names that mean two things, rows whose options do not fit, or held-out rows that nothing predicts
 */
export function jobPartsOf(split: SplitModel | undefined, { name, seed, data, compile }: JobDefinition): JobParts {
  const { loss, metrics } = compile;
  const parts: JobParts = {
    embeddings: [...(split?.embeddings ?? [])],
    layers: [...(split?.layers ?? [])],
    numbers: [...(split?.numbers ?? [])],
    outputs: split?.outputs ?? 1,
    variables: [],
    denseWeights: new Float32Array(0),
  };
  if (!isTrainingFunction(loss)) return parts;
  const place = `job "${name}": training function "${loss.name}"`;
  if (loss.outputs !== undefined) parts.outputs = loss.outputs;
  if (!split && !loss.predict && (data.test !== undefined || metrics.length > 0)) {
    throw new TypeError(
      `${place} has no predict, and the job has no model, so nothing can be said of held-out rows: write predict, or ` +
        `take \`test\` out of the data and the metrics out of compile`,
    );
  }
  const ofModel = new Set([
    ...rowNames(parts.embeddings, () => true),
    ...parts.numbers.flatMap(({ input, field }) => [input, field]),
  ]);
  for (const [input, rows] of Object.entries(loss.rows)) {
    refuseName(place, input, ofModel);
    const { use, layer } = useOf(place, input, rows);
    parts.embeddings.push(use);
    parts.layers.push(layer);
  }
  for (const [input, shape] of Object.entries(loss.numbers)) {
    refuseName(place, input, ofModel);
    parts.numbers.push({ input, field: input, shape: [...shape] });
  }
  return { ...parts, ...variablesOf(loss, seed) };
}

function useOf(place: string, input: string, rows: FunctionRows): { use: EmbeddingUse; layer: VolaryEmbedding } {
  const { field = input, length, ...args } = rows;
  const fail = (what: string): never => {
    throw new TypeError(`${place}, rows "${input}": ${what}`);
  };
  if (length !== undefined && !(Number.isInteger(length) && length >= 1))
    return fail(`length is ${length}; it must be a whole number of keys, as 20`);
  const { table, dim, combiner, mask } = args;
  const layer = embedding(args);
  return { use: { input, field, table, dim, usage: usageOf() }, layer };

  function usageOf(): Usage {
    if (combiner !== undefined) return { kind: "pooled", combiner, ...(length === undefined ? {} : { length }) };
    if (length !== undefined) return { kind: "sequence", length, mask: mask ?? "padding" };
    if (mask !== undefined) return fail("a mask marks places of a sequence; give its length");
    return { kind: "one" };
  }
}

function refuseName(place: string, input: string, ofModel: ReadonlySet<string>): void {
  if (!ofModel.has(input)) return;
  throw new TypeError(
    `${place} asks for "${input}", which the job's model brings already: take it from there, or give it another name ` +
      `and field: "${input}"`,
  );
}

function variablesOf({ variables }: TrainingFunction, seed: number): Pick<JobParts, "variables" | "denseWeights"> {
  const specs = Object.entries(variables).map(([name, { shape }]) => ({ name, shape: [...shape], trainable: true }));
  const values = Object.values(variables).map(({ shape, initializer = { kind: "zeros" } }, i) => {
    const floats = shape.reduce((product, size) => product * size, 1);
    const out = new Float32Array(floats);
    initializerOf(initializer, { seed, table: 0 })(i, 0, out, 0, floats);
    return out;
  });
  return { variables: specs, denseWeights: concatenated(values) };
}

/** One array after the other. */
export function concatenated(arrays: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(arrays.reduce((floats, { length }) => floats + length, 0));
  let at = 0;
  for (const each of arrays) {
    out.set(each, at);
    at += each.length;
  }
  return out;
}
