/**
 * tfjs topology JSON as data: reading it, and the rewrites that make a job's tower depend on nothing but the job.
 * A graph is tfjs's `Model` config: layers, each with its inbound nodes, and references to their outputs.
 */
import { seedFrom } from "../layers/seed-from.ts";

/** Output `tensor` of node `node` of a layer, with the keyword arguments of the call. */
export type TensorRef = [layer: string, node: number, tensor: number, kwargs?: Record<string, unknown>];

export interface LayerJson {
  name: string;
  class_name: string;
  config: Record<string, unknown>;
  /** One entry per call of the layer: the tensors it was called on. */
  inbound_nodes: TensorRef[][];
}

export interface GraphJson {
  name: string;
  layers: LayerJson[];
  input_layers: TensorRef[];
  output_layers: TensorRef[];
}

/** What `LayersModel.toJSON` gives of a functional model. */
export interface Topology {
  class_name: string;
  config: GraphJson;
  [key: string]: unknown;
}

const CONTAINERS: readonly string[] = ["Model", "Functional", "Sequential"];

/** The layers, in the JSON of models, that are models themselves. */
export function isContainer(layer: { class_name: string }): boolean {
  return CONTAINERS.includes(layer.class_name);
}

/** The tensors a reference's node was called on. A nested model counts its own inside as node 0. */
export function inboundOf(layer: LayerJson, node: number): TensorRef[] {
  return layer.inbound_nodes[isContainer(layer) ? node - 1 : node] ?? [];
}

/** An input of floats, of `shape` for each sample. */
export function inputLayerJson(name: string, shape: readonly number[]): LayerJson {
  const config = { batch_input_shape: [null, ...shape], dtype: "float32", sparse: false, name };
  return { name, class_name: "InputLayer", config, inbound_nodes: [] };
}

type Json = Record<string, unknown>;

/** A layer anywhere in a topology: nested models, wrapped layers and cells have this much in common. */
interface AnyLayer {
  class_name: string;
  config: Json & { name: string };
}

/** Calls `visit` for every layer at any depth, outer ones first. */
export function forEachLayer(value: unknown, visit: (layer: AnyLayer) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (isLayer(value)) visit(value);
  for (const part of Object.values(value)) forEachLayer(part, visit);
}

function isLayer(value: object): value is AnyLayer {
  const { class_name: className, config } = value as Partial<AnyLayer>;
  return typeof className === "string" && typeof config?.name === "string";
}

/** How tfjs names the layers that the author did not: by counters of the process. */
const AUTOMATIC_NAMES: Readonly<Record<string, RegExp>> = {
  InputLayer: /^(input)\d+$/,
  Model: /^(model)\d+$/,
  Functional: /^(functional)\d+$/,
  Sequential: /^(sequential)_\d+$/,
};

/** The stem of an automatic name, or undefined. */
export function automaticStem(className: string, name: string): string | undefined {
  const pattern = AUTOMATIC_NAMES[className] ?? new RegExp(`^([a-z0-9_]+)_${className}\\d+$`);
  return pattern.exec(name)?.[1];
}

/** tfjs derives these from the name of another layer. */
const FORWARD = "forward_";
const BACKWARD = "backward_";
const INPUT = "_input";

/**
 * The topology with tfjs's automatic names replaced by the layer's kind and its place among its like: two models
 * made by one function get the same names, however many models the process made before.
 *
 * @returns the new topology, and old name by new
 */
export function withCanonicalNames(topology: Topology): { topology: Topology; nameBefore: Map<string, string> } {
  const nameBefore = new Map<string, string>();
  const nameAfter = new Map<string, string>();
  const taken = new Set<string>();
  forEachLayer(topology, ({ config }) => taken.add(config.name));
  forEachLayer(topology, ({ class_name: className, config }) => {
    const name = config.name.replace(FORWARD, "").replace(BACKWARD, "");
    const stem = automaticStem(className, name);
    if (stem === undefined || nameAfter.has(name)) return;
    let number = 1;
    while (taken.has(`${stem}_${number}`)) number++;
    taken.add(`${stem}_${number}`);
    nameAfter.set(name, `${stem}_${number}`);
    nameBefore.set(`${stem}_${number}`, name);
  });
  const rename = (name: string): string => {
    const after = nameAfter.get(name);
    if (after !== undefined) return after;
    if (name.startsWith(FORWARD)) return FORWARD + rename(name.slice(FORWARD.length));
    if (name.startsWith(BACKWARD)) return BACKWARD + rename(name.slice(BACKWARD.length));
    return name.endsWith(INPUT) ? rename(name.slice(0, -INPUT.length)) + INPUT : name;
  };
  return { topology: renamed(topology, rename) as Topology, nameBefore };
}

/** Names stand under `name`, and first in a reference. */
function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (isRef(value)) return [rename(value[0]), ...value.slice(1)];
  if (Array.isArray(value)) return value.map((part) => renamed(part, rename));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === "name" && typeof part === "string" ? rename(part) : renamed(part, rename),
    ]),
  );
}

function isRef(value: unknown): value is TensorRef {
  return (
    Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number" && typeof value[2] === "number"
  );
}

/** The topology with a seed in every initializer that has none, made of (seed, layer, place of the initializer). */
export function withSeeds(topology: Topology, seed: number): Topology {
  return withInitializers(topology, (initializer, path) =>
    initializer.config.seed === null
      ? { ...initializer, config: { ...initializer.config, seed: seedFrom([seed, ...path]) } }
      : initializer,
  );
}

/** The topology with every weight starting at 0, for a tower that gets its weights from elsewhere. */
export function withZeroWeights(topology: Topology): Topology {
  return withInitializers(topology, () => ({ class_name: "Zeros", config: {} }));
}

interface InitializerJson {
  class_name: string;
  config: Json;
}

/** Replaces every initializer; its path is its layer's name and the keys below it. */
function withInitializers(
  topology: Topology,
  replace: (initializer: InitializerJson, path: readonly string[]) => InitializerJson,
): Topology {
  const copy = structuredClone(topology);
  const walk = (config: Json, path: readonly string[]): void => {
    for (const [key, value] of Object.entries(config)) {
      if (typeof value !== "object" || value === null || Array.isArray(value) || isLayer(value)) continue;
      if (key.endsWith("_initializer")) config[key] = replace(value as InitializerJson, [...path, key]);
      else walk(value as Json, [...path, key]);
    }
  };
  forEachLayer(copy, ({ config }) => walk(config, [config.name]));
  return copy;
}

/**
 * The topology without the activation its only output ends in, so that a loss can work with logits; undefined where
 * the output does not end in this one, or is used elsewhere too.
 */
export function withoutFinalActivation(topology: Topology, activation: "sigmoid" | "softmax"): Topology | undefined {
  const [output, ...more] = topology.config.output_layers;
  const layer = topology.config.layers.find(({ name }) => name === output![0]);
  if (more.length > 0 || !layer || layer.inbound_nodes.length !== 1 || activationOf(layer) !== activation)
    return undefined;
  const users = topology.config.layers
    .flatMap(({ inbound_nodes }) => inbound_nodes.flat())
    .filter(([name]) => name === layer.name);
  if (users.length > 0) return undefined;
  const layers = topology.config.layers.map((each) =>
    each === layer ? { ...layer, config: { ...layer.config, activation: "linear" } } : each,
  );
  return { ...topology, config: { ...topology.config, layers } };
}

/** The activation a layer ends in, of the layers that are known to end in one. */
export function activationOf({ class_name: className, config }: LayerJson): string | undefined {
  return className === "Dense" || className === "Activation" ? String(config.activation) : undefined;
}
