/** A tower travels as JSON, so each layer must come back from it as it was, and its weights take the job's seed. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { attentionPooling } from "./attention-pooling.ts";
import { crossNet } from "./cross-net.ts";
import { pairwiseDot } from "./pairwise-dot.ts";
import { sequencePooling } from "./sequence-pooling.ts";
import { through } from "./through.ts";
import { withCanonicalNames, withSeeds, withZeroWeights, type Topology } from "../tower/topology.ts";

beforeAll(() => tf.setBackend("cpu"));

const [L, D] = [4, 6];
const features = () => tfl.input({ shape: [D] });
const sequence = () => tfl.input({ shape: [L, D] });

const MODELS: Record<string, () => { inputs: tfl.SymbolicTensor[]; layer: tfl.layers.Layer }> = {
  pairwiseDot: () => ({ inputs: [features(), features(), features()], layer: pairwiseDot({ self: "with" }) }),
  crossNet: () => ({ inputs: [features()], layer: crossNet({ layers: 2, biasInitializer: "randomNormal" }) }),
  "crossNet of a rank": () => ({ inputs: [features()], layer: crossNet({ layers: 2, rank: 3, name: "crossed" }) }),
  "crossNet of an initializer's own": () => ({
    inputs: [features()],
    layer: crossNet({ layers: 2, kernelInitializer: tfl.initializers.randomUniform({ minval: 2, maxval: 3 }) }),
  }),
  sequencePooling: () => ({ inputs: [sequence()], layer: sequencePooling({ mode: "max" }) }),
  attentionPooling: () => ({ inputs: [sequence()], layer: attentionPooling() }),
  "attentionPooling with units": () => ({
    inputs: [sequence()],
    layer: attentionPooling({ units: 3, activation: "relu" }),
  }),
  "attentionPooling with units and a query": () => ({
    inputs: [sequence(), features()],
    layer: attentionPooling({ units: 3, query: "input" }),
  }),
};

function modelOf(name: string): tfl.LayersModel {
  const { inputs, layer } = MODELS[name]!();
  return tfl.model({ inputs, outputs: through(inputs, layer) });
}

const topologyOf = (model: tfl.LayersModel): Topology =>
  JSON.parse(JSON.stringify(model.toJSON(null, false))) as Topology;
const read = (topology: Topology): Promise<tfl.LayersModel> =>
  tfl.models.modelFromJSON({ ...topology } as Parameters<typeof tfl.models.modelFromJSON>[0]);
const weightsOf = (model: tfl.LayersModel): number[][] => model.getWeights().map((w) => Array.from(w.dataSync()));

function predict(model: tfl.LayersModel): number[] {
  return tf.tidy(() => {
    const inputs = model.inputs.map(({ shape }, i) => {
      const [, ...sizes] = shape as number[];
      return tf.sin(tf.reshape(tf.range(i, i + 2 * tf.util.sizeFromShape(sizes)), [2, ...sizes]));
    });
    return Array.from((model.predict(inputs) as tf.Tensor).dataSync());
  });
}

describe.each(Object.keys(MODELS))("%s", (name) => {
  it("comes back from JSON as it was", async () => {
    const model = modelOf(name);
    const again = await read(topologyOf(model));
    again.setWeights(model.getWeights());
    expect(topologyOf(again)).toEqual(topologyOf(model));
    expect(predict(again)).toEqual(predict(model));
  });

  it("starts with weights of the job's seed, whatever was made before", async () => {
    const seeded = (seed: number) => read(withSeeds(withCanonicalNames(topologyOf(modelOf(name))).topology, seed));
    const [first, again, other] = [weightsOf(await seeded(1)), weightsOf(await seeded(1)), weightsOf(await seeded(2))];
    expect(again).toEqual(first);
    const drawn = first.filter((weight) => weight.some((value) => value !== 0));
    if (drawn.length > 0) expect(other).not.toEqual(first);
    expect(new Set(drawn.map(([value]) => value)).size).toBe(drawn.length);
  });

  it("starts with zeros where its weights come from elsewhere", async () => {
    const model = await read(withZeroWeights(topologyOf(modelOf(name))));
    expect(
      weightsOf(model)
        .flat()
        .every((value) => value === 0),
    ).toBe(true);
  });
});
