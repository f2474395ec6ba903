/**
 * From a plain tfjs model to one whose embeddings live on the parameter servers: every tf.layers.embedding becomes a
 * Volary one of the same shape, and its trained rows go along, so that training starts where tfjs stopped.
 *
 * The graph is built again from copies of the layers, call by call in the order of the first time; nested models that
 * hold embeddings are spread out. tfjs's gradient of an embedding touches used rows only, as ours does, so plain SGD
 * gives the same model. A regularizer or constraint of the whole table does not, and is refused unless the author
 * says what to do with used rows.
 */
import type { serialization, Tensor } from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { optimizerSpecFrom, type OptimizerName, type OptimizerSpec } from "../optimizer/index.ts";
import { didYouMean, quoted } from "../data/spec/nearest-name.ts";
import { refuseUnknownKeys } from "./layers/author-error.ts";
import { checkLengths, embeddingArgsOf, type ConvertedTable } from "./converted-table.ts";
import { embedding, type EmbeddingArgs, type VolaryEmbedding } from "./layers/embedding.ts";

/** Rows that a table starts from, in place of its initializer's. */
export interface TableRows {
  table: string;
  /** Shape [K], ascending. */
  keys: BigUint64Array;
  /** float32, shape [K, dim] */
  values: Float32Array;
}

/** What becomes of the embeddings of a tfjs model: see {@link convertEmbeddings}. */
export interface ConvertOptions {
  /** By the name of the embedding layer: its table's name, or that and more. The layer's name by default. */
  tables?: Readonly<Record<string, string | ConvertedTable>>;
  /** Of every table that names none; `compile.sparseOptimizer` by default. */
  optimizer?: OptimizerName | OptimizerSpec;
}

/**
 * A new model, trained as the old one is but for its embeddings, which are Volary's. Inputs keep their names; those
 * of ids are int32. The old model is left as it is. The caller disposes both.
 *
 * @throws {TypeError} an embedding that the cluster cannot hold with the same meaning, naming layer and remedy
 * @example const model = await convertEmbeddings(await tf.loadLayersModel("file://model.json"));
 */
export async function convertEmbeddings(
  model: tfl.LayersModel,
  options: ConvertOptions = {},
): Promise<tfl.LayersModel> {
  refuseUnknownKeys("convertEmbeddings()", options, ["tables", "optimizer"]);
  const found = embeddingsOf(model);
  const names = found.map(({ name }) => name);
  const odd = Object.keys(options.tables ?? {}).find((name) => !names.includes(name));
  if (odd !== undefined) {
    throw new TypeError(
      `convertEmbeddings(): the model has no embedding layer "${odd}"; it has ${quoted(names)}.${didYouMean(odd, names)}`,
    );
  }
  const rebuilding = new Rebuilding(model, options);
  const converted = rebuilding.model();
  try {
    rowsOfModel.set(converted, await rebuilding.tableRows());
  } catch (error) {
    converted.dispose();
    throw error;
  }
  return converted;
}

/** Whether a model holds a tf.layers.embedding, nested models included. */
export function hasTfjsEmbedding(model: tfl.LayersModel): boolean {
  return embeddingsOf(model).length > 0;
}

/** The rows that a converted model brings along; none of any other model. */
export function tableRowsOf(model: tfl.LayersModel): readonly TableRows[] {
  return rowsOfModel.get(model) ?? [];
}

const rowsOfModel = new WeakMap<tfl.LayersModel, readonly TableRows[]>();

type Layer = tfl.layers.Layer;

function embeddingsOf(model: tfl.LayersModel): Layer[] {
  return [
    ...new Set(
      model.layers.flatMap((layer) => (isModel(layer) ? embeddingsOf(layer) : isTfjsEmbedding(layer) ? [layer] : [])),
    ),
  ];
}

function isModel(layer: Layer): layer is tfl.LayersModel {
  return "layers" in layer && Array.isArray(layer.layers);
}

function isTfjsEmbedding(layer: Layer): boolean {
  return layer.getClassName() === "Embedding";
}

// -- the graph, once more ------------------------------------------------------------------------------------

/** A model's own tensors, or those inside one call of a nested model. */
interface Scope {
  /** What stands in the new graph for a tensor of the old one. */
  made: Map<number, tfl.SymbolicTensor>;
  /** Around a nested model: what its inputs are called with. */
  outer?: { scope: Scope; tensors: ReadonlyMap<number, tfl.SymbolicTensor> };
}

class Rebuilding {
  readonly #model: tfl.LayersModel;
  readonly #options: ConvertOptions;
  readonly #copies = new Map<Layer, Layer>();
  readonly #inputs = new Map<number, { tensor: tfl.SymbolicTensor; as: "ids" | "numbers" }>();
  readonly #tables = new Map<Layer, VolaryEmbedding>();

  constructor(model: tfl.LayersModel, options: ConvertOptions) {
    this.#model = model;
    this.#options = options;
  }

  model(): tfl.LayersModel {
    const { inputs, outputs, name } = this.#model;
    try {
      const made = this.#outputs(outputs, { made: new Map() });
      const used = inputs.flatMap(({ id }) => this.#inputs.get(id)?.tensor ?? []);
      const model = tfl.model({ inputs: used, outputs: made, name });
      for (const [layer, copy] of this.#copies) if (layer.weights.length > 0) copy.setWeights(layer.getWeights());
      return model;
    } catch (error) {
      for (const copy of this.#copies.values()) if (copy.built && copy.weights.length > 0) copy.dispose();
      throw error;
    }
  }

  async tableRows(): Promise<TableRows[]> {
    const all: TableRows[] = [];
    for (const [layer, { table, dim, tableOptions }] of this.#tables) {
      const [weights] = layer.getWeights() as [Tensor];
      const values = Float32Array.from(await weights.data());
      if (tableOptions.maxNorm !== undefined) checkLengths({ layer, values, dim, maxNorm: tableOptions.maxNorm });
      all.push({ table, keys: BigUint64Array.from({ length: values.length / dim }, (_, key) => BigInt(key)), values });
    }
    return all;
  }

  /** What stands for `tensors` of a scope, every call made in the order in which it was made at first. */
  #outputs(tensors: readonly tfl.SymbolicTensor[], scope: Scope): tfl.SymbolicTensor[] {
    for (const tensor of reachedFrom(tensors)) this.#make(tensor, scope);
    return tensors.map((tensor) => this.#read(tensor, scope));
  }

  #make(tensor: tfl.SymbolicTensor, scope: Scope): void {
    const layer = tensor.sourceLayer;
    if (scope.made.has(tensor.id) || layer.getClassName() === "InputLayer") return;
    const node = layer.inboundNodes[tensor.nodeIndex]!;
    for (const [i, made] of this.#call(layer, node.inputTensors, scope).entries())
      scope.made.set(node.outputTensors[i]!.id, made);
  }

  #call(layer: Layer, inputs: tfl.SymbolicTensor[], scope: Scope): tfl.SymbolicTensor[] {
    if (isTfjsEmbedding(layer)) return [this.#embed(layer, inputs[0]!, scope)];
    if (isModel(layer) && hasTfjsEmbedding(layer)) {
      const tensors = new Map(layer.inputs.map(({ id }, i) => [id, inputs[i]!]));
      return this.#outputs(layer.outputs, { made: new Map(), outer: { scope, tensors } });
    }
    const wrapped = (layer as { layer?: Layer }).layer;
    if (wrapped && isTfjsEmbedding(wrapped)) {
      throw new TypeError(
        `embedding layer "${wrapped.name}" is wrapped by "${layer.name}"; apply it to an input by itself`,
      );
    }
    const copy = this.#copies.get(layer) ?? copyOf(layer);
    this.#copies.set(layer, copy);
    const tensors = inputs.map((input) => this.#read(input, scope));
    const made = copy.apply(tensors.length === 1 ? tensors[0]! : tensors);
    return (Array.isArray(made) ? made : [made]) as tfl.SymbolicTensor[];
  }

  #read(tensor: tfl.SymbolicTensor, scope: Scope): tfl.SymbolicTensor {
    const made = scope.made.get(tensor.id);
    if (made) return made;
    const outside = scope.outer?.tensors.get(tensor.id);
    if (outside) return this.#read(outside, scope.outer!.scope);
    return this.#input(tensor, "numbers", tensor.shape.slice(1));
  }

  #embed(layer: Layer, ids: tfl.SymbolicTensor, scope: Scope): tfl.SymbolicTensor {
    const input = originOf(ids, scope);
    const place = `embedding layer "${layer.name}"`;
    if (input.sourceLayer.getClassName() !== "InputLayer") {
      throw new TypeError(
        `${place}: its ids are computed by layer "${input.sourceLayer.name}"; ids must come straight from an input: ` +
          `compute them where the data is defined`,
      );
    }
    const { inputLength, maskZero } = layer.getConfig() as { inputLength?: number | number[]; maskZero?: boolean };
    const length = input.shape[1] ?? [inputLength].flat()[0] ?? null;
    if (input.shape.length !== 2 || length === null) {
      throw new TypeError(
        `${place}: its input "${input.sourceLayer.name}" has the shape ${JSON.stringify(input.shape)}; ` +
          `the cluster needs a fixed number of ids a sample: give the input a shape, as [20], or the layer an inputLength`,
      );
    }
    const made = this.#input(input, "ids", [length]);
    if (made.shape[1] !== length) {
      throw new TypeError(
        `${place}: it reads ${length} ids of input "${made.sourceLayer.name}", and another layer ${made.shape[1]}`,
      );
    }
    const rows = this.#table(layer, made.sourceLayer.name).apply(made);
    if (length > 1 || maskZero === true) return rows;
    return tfl.layers.reshape({ targetShape: [1, rows.shape[1]!] }).apply(rows) as tfl.SymbolicTensor;
  }

  #input(old: tfl.SymbolicTensor, as: "ids" | "numbers", shape: (number | null)[]): tfl.SymbolicTensor {
    const { name } = old.sourceLayer;
    const dtype = as === "ids" ? "int32" : old.dtype;
    const made = this.#inputs.get(old.id) ?? { tensor: tfl.input({ name, shape, dtype }), as };
    if (made.as !== as) {
      throw new TypeError(
        `input "${name}" gives ids to an embedding and numbers to another layer; make it two inputs of two fields`,
      );
    }
    this.#inputs.set(old.id, made);
    return made.tensor;
  }

  #table(layer: Layer, input: string): VolaryEmbedding {
    const known = this.#tables.get(layer);
    if (known) return known;
    const given = this.#options.tables?.[layer.name] ?? {};
    const options = typeof given === "string" ? { name: given } : given;
    refuseUnknownKeys(`convertEmbeddings(): tables["${layer.name}"]`, options, [
      "name",
      "optimizer",
      "l2",
      "maxNorm",
      "clip",
    ]);
    const taken = new Map([...this.#tables].map(([{ name }, { table }]) => [table, name]));
    const preferred = AUTOMATIC_NAME.test(layer.name) && !taken.has(input) ? input : layer.name;
    const { name: table = preferred, ...rest } = options;
    const other = taken.get(table);
    if (other !== undefined) {
      throw new TypeError(
        `embedding layers "${other}" and "${layer.name}" would share the table "${table}", and each has rows of its own; ` +
          `name two tables, or apply one layer to both inputs`,
      );
    }
    const made = embedding({ ...embeddingArgsOf(layer, rest), table, ...this.#optimizerOf(layer, rest) });
    this.#tables.set(layer, made);
    return made;
  }

  #optimizerOf(layer: Layer, options: ConvertedTable): Pick<EmbeddingArgs, "optimizer"> {
    if (!layer.trainable) return { optimizer: { kind: "none" } };
    const optimizer = options.optimizer ?? this.#options.optimizer;
    return optimizer === undefined ? {} : { optimizer: optimizerSpecFrom(optimizer) };
  }
}

/** How tfjs names an embedding that its author did not. */
const AUTOMATIC_NAME = /^embedding_Embedding\d+$/;

/** The tensors that `outputs` depend on, in the order in which they were made. */
function reachedFrom(outputs: readonly tfl.SymbolicTensor[]): tfl.SymbolicTensor[] {
  const reached = new Map<number, tfl.SymbolicTensor>();
  const waiting = [...outputs];
  for (let tensor = waiting.pop(); tensor; tensor = waiting.pop()) {
    if (reached.has(tensor.id)) continue;
    reached.set(tensor.id, tensor);
    waiting.push(...tensor.sourceLayer.inboundNodes[tensor.nodeIndex]!.inputTensors);
  }
  return [...reached.values()].toSorted((a, b) => a.id - b.id);
}

/** The tensor around all nested models that a tensor is. */
function originOf(tensor: tfl.SymbolicTensor, scope: Scope): tfl.SymbolicTensor {
  const outside = scope.outer?.tensors.get(tensor.id);
  return outside ? originOf(outside, scope.outer!.scope) : tensor;
}

function copyOf(layer: Layer): Layer {
  const cls = layer.constructor as serialization.SerializableConstructor<Layer> & {
    fromConfig: typeof tfl.layers.Layer.fromConfig;
  };
  return cls.fromConfig(cls, layer.getConfig());
}
