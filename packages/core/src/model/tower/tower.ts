/**
 * An author's model, split where the network is: embeddings stay on the parameter servers; everything after them,
 * the tower, runs on the worker. Every output of an embedding becomes an input of the tower.
 *
 * The split works on topology JSON, so the author's own layers, their weights and their connections stay as they are.
 */
import * as tfl from "@tensorflow/tfjs-layers";
import type { EmbeddingUse, ModelSpec, NumberUse } from "../../job/manifest.ts";
import { LIMITS } from "../../limits.ts";
import { isEmbedding, type VolaryEmbedding } from "../layers/embedding.ts";
import { dtypeOf, givesKeys } from "../layers/input.ts";
import {
  forEachLayer,
  inboundOf,
  inputLayerJson,
  type GraphJson,
  type LayerJson,
  type TensorRef,
  type Topology,
} from "./topology.ts";

/** A model in two: its tower, and what feeds it. */
export interface SplitModel {
  /** The tower's topology: inputs are the uses' rows in order, then the numbers. */
  topology: Topology;
  embeddings: EmbeddingUse[];
  /** The layer of each use, in the order of `embeddings`. */
  layers: VolaryEmbedding[];
  numbers: NumberUse[];
  /** Numbers the tower gives for a sample. */
  outputs: number;
}

/**
 * Splits a model. Uses and numbers come in the order in which the output depends on them, so the rows that one layer
 * joins lie side by side.
 *
 * @throws {TypeError} a graph the cluster cannot train, naming the layer
 */
export function splitModel(model: tfl.LayersModel): SplitModel {
  const outputs = outputsOf(model);
  // A Sequential's JSON has no connections; as a functional model's, the same layers have them.
  const graphModel = tfl.model({ inputs: model.inputs, outputs: model.outputs, name: "tower" });
  const { config, ...rest } = JSON.parse(JSON.stringify(graphModel.toJSON(null, false))) as Topology;
  const embeddingLayers = new Map(graphModel.layers.filter(isEmbedding).map((layer) => [layer.name, layer]));
  refuseNestedEmbeddings(config, embeddingLayers);
  const { uses, numbers, reached } = leavesOf(config, embeddingLayers);
  const inputs = new Map(model.inputs.map((tensor) => [tensor.sourceLayer.name, tensor]));
  const numberUses = numbers.map((name) => numberUse(inputs.get(name)!));

  const embeddings = uses.map(({ layer, fields }, i) => ({
    input: `volary_rows_${i}`,
    field: fields[0]!,
    table: layer.table,
    dim: layer.dim,
    usage: layer.usageOn(fields.map((field) => inputs.get(field)!)),
    ...integersOf(inputs.get(fields[0]!)!),
  }));
  const inputOfUse = new Map(uses.map(({ ref: [layer, node] }, i) => [`${layer}/${node}`, embeddings[i]!.input]));
  const rewire = ([layer, node, tensor, ...kwargs]: TensorRef): TensorRef => {
    const input = inputOfUse.get(`${layer}/${node}`);
    return input === undefined ? [layer, node, tensor, ...kwargs] : [input, 0, 0, ...kwargs];
  };
  const kept = config.layers.filter(
    ({ name, class_name }) => reached.has(name) && !embeddingLayers.has(name) && class_name !== "InputLayer",
  );
  const layers = [
    ...embeddings.map(({ input, dim, usage }) =>
      inputLayerJson(input, usage.kind === "sequence" ? [usage.length, dim] : [dim]),
    ),
    ...numbers.map((name) => config.layers.find((layer) => layer.name === name)!),
    ...kept.map((layer) => ({ ...layer, inbound_nodes: layer.inbound_nodes.map((refs) => refs.map(rewire)) })),
  ];
  const graph: GraphJson = {
    name: config.name,
    layers,
    input_layers: [...embeddings.map(({ input }) => input), ...numbers].map((name): TensorRef => [name, 0, 0]),
    output_layers: config.output_layers.map(rewire),
  };
  return {
    topology: { ...rest, config: graph, class_name: rest.class_name },
    embeddings,
    layers: uses.map(({ layer }) => layer),
    numbers: numberUses,
    outputs,
  };
}

/**
 * The tower of a manifest, as a tfjs model; its weights are those its initializers give. The caller disposes it.
 *
 * @throws {TypeError} a layer that is not registered here, or connections tfjs cannot read back
 */
export async function towerFromManifest(spec: Pick<ModelSpec, "topology">): Promise<tfl.LayersModel> {
  const topology = spec.topology as Topology;
  let tower: tfl.LayersModel;
  try {
    tower = await tfl.models.modelFromJSON(topology as Parameters<typeof tfl.models.modelFromJSON>[0]);
  } catch (cause) {
    const message = (cause as Error).message.split("\n")[0];
    throw new TypeError(
      `the model cannot be rebuilt from its description: ${message} A layer of your own must be registered with ` +
        `tf.serialization.registerClass, and be loaded on every node with --plugin: functions do not travel`,
      { cause },
    );
  }
  const misread = misreadLayer(topology, tower);
  if (misread === undefined) return tower;
  tower.dispose();
  throw new TypeError(
    `layer "${misread}" is called several times, in an order that tfjs reads back wrongly: ` +
      `call it first where it lies deepest below the output`,
  );
}

/** Numbers the model gives for a sample. */
function outputsOf(model: tfl.LayersModel): number {
  const shapes = model.outputs.map(({ shape }) => JSON.stringify(shape));
  if (shapes.length !== 1) {
    throw new TypeError(
      `the model has ${shapes.length} outputs, of shapes ${shapes.join(", ")}; join them to one with tf.layers.concatenate()`,
    );
  }
  const [, width = 1, ...more] = model.outputs[0]!.shape;
  if (width === null || more.length > 0) {
    throw new TypeError(
      `the model's output has the shape ${shapes[0]}; it must be [null,K], K numbers a sample: end in tf.layers.flatten() or a dense layer`,
    );
  }
  if (width <= LIMITS.outputsMax) return width;
  throw new RangeError(`the model gives ${width} numbers a sample; at most ${LIMITS.outputsMax} are allowed`);
}

function refuseNestedEmbeddings(config: GraphJson, outer: ReadonlyMap<string, unknown>): void {
  forEachLayer(config.layers, ({ class_name: className, config: { name } }) => {
    if (className !== "VolaryEmbedding" || outer.has(name)) return;
    throw new TypeError(`embedding "${name}" is inside a nested model; apply it outside, and pass its rows in`);
  });
}

interface Leaves {
  /** `fields` are the keys, and the weights where there are some. */
  uses: { ref: TensorRef; layer: VolaryEmbedding; fields: string[] }[];
  /** Names of the inputs that give numbers. */
  numbers: string[];
  /** Names of all layers the output depends on. */
  reached: Set<string>;
}

/** Follows the graph from its output down to embeddings and inputs, in the order of each layer's arguments. */
function leavesOf(config: GraphJson, embeddingLayers: ReadonlyMap<string, VolaryEmbedding>): Leaves {
  const byName = new Map(config.layers.map((layer) => [layer.name, layer]));
  const leaves: Leaves = { uses: [], numbers: [], reached: new Set() };
  const visited = new Set<string>();
  const visit = (ref: TensorRef): void => {
    const [name, node] = ref;
    if (visited.has(`${name}/${node}`)) return;
    visited.add(`${name}/${node}`);
    leaves.reached.add(name);
    const layer = byName.get(name)!;
    const inbound = inboundOf(layer, node);
    const embedding = embeddingLayers.get(name);
    if (embedding) leaves.uses.push({ ref, layer: embedding, fields: inbound.map(([field]) => field) });
    else if (layer.class_name === "InputLayer") leaves.numbers.push(name);
    else inbound.forEach(visit);
  };
  config.output_layers.forEach(visit);
  return leaves;
}

function numberUse(tensor: tfl.SymbolicTensor): NumberUse {
  const { name } = tensor.sourceLayer;
  if (givesKeys(dtypeOf(tensor))) {
    throw new TypeError(
      `input "${name}" is ${dtypeOf(tensor)}, which gives keys, and a layer takes it for numbers; apply an embedding() to it first`,
    );
  }
  const shape = tensor.shape.slice(1);
  if (shape.length > 0 && shape.every((size) => size !== null)) return { input: name, field: name, shape };
  throw new TypeError(
    `input "${name}" has the shape ${JSON.stringify(tensor.shape)}, and a layer takes it for numbers, which need a ` +
      `fixed number of them a sample; give it one, as shape: [20]`,
  );
}

function integersOf(tensor: tfl.SymbolicTensor): Pick<EmbeddingUse, "integers"> {
  const dtype = dtypeOf(tensor);
  return dtype === "int32" || dtype === "int64" ? { integers: dtype } : {};
}

/**
 * A layer whose calls came back in another order than they were written. tfjs makes the calls of a layer as soon as
 * their arguments exist, and numbers them as it makes them, so references to a layer called at two depths can swap.
 */
function misreadLayer(topology: Topology, tower: tfl.LayersModel): string | undefined {
  const readBack = JSON.parse(JSON.stringify(tower.toJSON(null, false))) as Topology;
  const inbound = (layers: LayerJson[]) =>
    new Map(layers.map((layer) => [layer.name, JSON.stringify(layer.inbound_nodes.map(names))]));
  const after = inbound(readBack.config.layers);
  for (const [name, refs] of inbound(topology.config.layers)) if (after.get(name) !== refs) return name;
  return undefined;
}

const names = (refs: TensorRef[]) => refs.map(([layer, node, tensor]) => [layer, node, tensor]);
