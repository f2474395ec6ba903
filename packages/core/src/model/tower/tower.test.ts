import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { embedding } from "../layers/embedding.ts";
import { fm } from "../layers/fm.ts";
import { input } from "../layers/input.ts";
import { through } from "../layers/through.ts";
import { splitModel, towerFromManifest } from "./tower.ts";

beforeAll(() => tf.setBackend("cpu"));

const { layers } = tfl;
const sigmoid = () => layers.dense({ units: 1, activation: "sigmoid" });
const key = (name: string) => input({ name, dtype: "string" });
const number = (name: string) => input({ name, dtype: "float32" });
const rowsOf = (field: tfl.SymbolicTensor, table: string, dim = 2) => embedding({ table, dim }).apply(field);

describe("splitModel", () => {
  it("puts an input in the place of every embedding, in the order the output depends on them", async () => {
    const [a, b, x] = [key("a"), key("b"), number("x")];
    const [rowsA, rowsB] = [rowsOf(a, "A", 3), rowsOf(b, "B")];
    const model = tfl.model({
      inputs: [x, b, a],
      outputs: through([rowsA, x, rowsB], layers.concatenate(), sigmoid()),
    });
    const split = splitModel(model);
    expect(split.embeddings).toEqual([
      { input: "volary_rows_0", field: "a", table: "A", dim: 3, usage: { kind: "one" } },
      { input: "volary_rows_1", field: "b", table: "B", dim: 2, usage: { kind: "one" } },
    ]);
    expect(split.numbers).toEqual([{ input: "x", field: "x", shape: [1] }]);
    expect(split.outputs).toBe(1);
    expect(split.topology.config.input_layers.map(([name]) => name)).toEqual(["volary_rows_0", "volary_rows_1", "x"]);
    const tower = await towerFromManifest(split);
    expect(tower.inputs.map(({ shape }) => shape)).toEqual([
      [null, 3],
      [null, 2],
      [null, 1],
    ]);
    expect(tower.countParams()).toBe(7);
    tower.dispose();
  });

  it("computes what the author's graph says, shared and nested layers included", async () => {
    const [a, b] = [key("a"), key("b")];
    const shared = embedding({ table: "T", dim: 2 });
    const [rowsA, rowsB] = [shared.apply(a), shared.apply(b)];
    const dense = layers.dense({ units: 2, activation: "tanh" });
    const nested = tfl.sequential({
      layers: [layers.dense({ units: 3, inputShape: [2] }), layers.dense({ units: 1 })],
    });
    const outputs = through(
      [through(rowsA, dense, dense, nested), through(rowsB, dense, nested), through([rowsA, rowsB], fm())],
      layers.add(),
      layers.activation({ activation: "sigmoid" }),
    );
    const split = splitModel(tfl.model({ inputs: [a, b], outputs }));
    expect(split.embeddings.map(({ field, table }) => [field, table])).toEqual([
      ["a", "T"],
      ["b", "T"],
    ]);
    const tower = await towerFromManifest(split);
    const expected = tf.tidy(() => {
      const [x, y] = [tf.tensor2d([[0.3, -0.4]]), tf.tensor2d([[0.9, 0.2]])];
      for (const [i, layer] of [dense, ...nested.layers].entries()) {
        layer.setWeights(layer.getWeights().map((weight, j) => tf.mul(tf.onesLike(weight), 0.1 * (1 + i + j))));
      }
      const run = (input: tf.Tensor, ...steps: { apply(t: tf.Tensor): unknown }[]) =>
        steps.reduce((t, step) => step.apply(t) as tf.Tensor, input);
      for (const layer of tower.layers) {
        const mine = layer.name.startsWith("dense") ? dense : layer.name.startsWith("sequential") ? nested : undefined;
        if (mine) layer.setWeights(mine.getWeights());
      }
      const deep = tf.add(run(x, dense, dense, nested), run(y, dense, nested));
      const pairs = tf.sum(tf.mul(x, y), 1, true);
      const wanted = tf.sigmoid(tf.add(deep, pairs)).dataSync()[0]!;
      return { wanted, got: (tower.predict([x, y]) as tf.Tensor).dataSync()[0]! };
    });
    expect(expected.got).toBeCloseTo(expected.wanted, 6);
    tower.dispose();
  });

  it("leaves the author's model as it was", () => {
    const a = key("a");
    const model = tfl.model({ inputs: a, outputs: through(rowsOf(a, "A"), sigmoid()) });
    const nodes = () =>
      model.layers.map(({ inboundNodes, outboundNodes }) => [inboundNodes.length, outboundNodes.length]);
    const before = { json: JSON.stringify(model.toJSON()), nodes: nodes(), tensors: tf.memory().numTensors };
    splitModel(model);
    expect({ json: JSON.stringify(model.toJSON()), nodes: nodes(), tensors: tf.memory().numTensors }).toEqual(before);
  });

  it("takes a model without embeddings, a Sequential too", () => {
    const sequential = tfl.sequential({ layers: [layers.dense({ units: 1, inputShape: [1], name: "x" })] });
    const split = splitModel(sequential);
    expect(split.embeddings).toEqual([]);
    expect(split.numbers).toEqual([{ input: "x_input", field: "x_input", shape: [1] }]);
  });

  it("takes a Sequential that begins with an embedding, behind tfjs's input layer", () => {
    const model = tfl.sequential({
      layers: [
        layers.inputLayer({ inputShape: [5], dtype: "int32", name: "words" }),
        embedding({ table: "word", dim: 4, maskZero: true }),
        layers.gru({ units: 2, recurrentInitializer: "glorotNormal" }),
        sigmoid(),
      ],
    });
    expect(splitModel(model)).toMatchObject({
      embeddings: [{ field: "words", table: "word", usage: { kind: "sequence", length: 5, mask: "zero-key" } }],
      numbers: [],
      outputs: 1,
    });
  });

  it("gives lists, sequences and images the shapes their layers take, and several outputs", async () => {
    const [tags, weights] = [
      input({ name: "tags", dtype: "string", shape: [null] }),
      input({ name: "weights", dtype: "float32", shape: [null] }),
    ];
    const seen = input({ name: "seen", dtype: "int64", shape: [5] });
    const image = input({ name: "image", dtype: "float32", shape: [6, 6, 1] });
    const items = embedding({ table: "item", dim: 4 });
    const pooled = embedding({ table: "tag", dim: 3, combiner: "mean" }).apply([tags, weights]);
    const history = through(items.apply(seen), layers.lstm({ units: 2, recurrentInitializer: "glorotNormal" }));
    const pixels = through(image, layers.conv2d({ filters: 2, kernelSize: 3 }), layers.flatten());
    const outputs = through([pooled, history, pixels], layers.concatenate(), layers.dense({ units: 7 }));
    const split = splitModel(tfl.model({ inputs: [tags, weights, seen, image], outputs }));
    expect(split.embeddings.map(({ field, usage }) => ({ field, usage }))).toEqual([
      { field: "tags", usage: { kind: "pooled", combiner: "mean", weights: "weights" } },
      { field: "seen", usage: { kind: "sequence", length: 5, mask: "padding" } },
    ]);
    expect(split.numbers).toEqual([{ input: "image", field: "image", shape: [6, 6, 1] }]);
    expect(split.outputs).toBe(7);
    const tower = await towerFromManifest(split);
    expect(tower.inputs.map(({ shape }) => shape)).toEqual([
      [null, 3],
      [null, 5, 4],
      [null, 6, 6, 1],
    ]);
    tower.dispose();
  });

  it("refuses several outputs, and an output that is no row of numbers, each with its remedy", () => {
    const a = key("a");
    const rows = rowsOf(a, "A");
    expect(() =>
      splitModel(tfl.model({ inputs: a, outputs: [through(rows, sigmoid()), through(rows, sigmoid())] })),
    ).toThrow(
      new TypeError(
        "the model has 2 outputs, of shapes [null,1], [null,1]; join them to one with tf.layers.concatenate()",
      ),
    );
    const outputs = through(rows, layers.reshape({ targetShape: [2, 1] }));
    expect(() => splitModel(tfl.model({ inputs: a, outputs }))).toThrow(
      /output has the shape \[null,2,1\]; it must be \[null,K\], K numbers a sample: end in tf\.layers\.flatten\(\)/,
    );
    const wide = through(a, layers.repeatVector({ n: 40_000 }), layers.flatten());
    expect(() => splitModel(tfl.model({ inputs: a, outputs: through([wide, wide], layers.concatenate()) }))).toThrow(
      new RangeError("the model gives 80000 numbers a sample; at most 65536 are allowed"),
    );
  });

  it("refuses keys where a layer takes numbers, and lists of any length", () => {
    const a = key("a");
    expect(() => splitModel(tfl.model({ inputs: a, outputs: through(a, sigmoid()) }))).toThrow(
      /input "a" is string, which gives keys, and a layer takes it for numbers; apply an embedding\(\) to it first/,
    );
    const list = input({ name: "list", dtype: "float32", shape: [null] });
    const outputs = through(list, layers.activation({ activation: "relu" }), layers.repeatVector({ n: 1 }));
    expect(() =>
      splitModel(tfl.model({ inputs: list, outputs: through(outputs, layers.globalAveragePooling1d({})) })),
    ).toThrow(TypeError);
  });

  it("refuses an embedding inside a nested model", () => {
    const [a, outer] = [key("a"), key("outer")];
    const inner = tfl.model({ inputs: a, outputs: embedding({ table: "A", dim: 1, name: "hidden" }).apply(a) });
    const outputs = inner.apply(outer) as tfl.SymbolicTensor;
    expect(() => splitModel(tfl.model({ inputs: outer, outputs }))).toThrow(
      new TypeError('embedding "hidden" is inside a nested model; apply it outside, and pass its rows in'),
    );
  });
});

describe("towerFromManifest", () => {
  it("names a layer that is registered nowhere", async () => {
    class Doubling extends layers.Layer {
      static className = "Doubling";
    }
    const x = number("x");
    const { topology } = splitModel(tfl.model({ inputs: x, outputs: new Doubling({}).apply(x) as tfl.SymbolicTensor }));
    await expect(towerFromManifest({ topology })).rejects.toThrow(
      /cannot be rebuilt .* Unknown layer: Doubling.* functions do not travel/,
    );
  });

  it("refuses what tfjs would read back wrongly: a layer called twice, first where it lies less deep", async () => {
    const x = number("x");
    const twice = layers.dense({ units: 1, name: "twice" });
    const shallow = through(x, layers.dense({ units: 1 }), twice);
    const deep = through(x, twice, ...Array.from({ length: 4 }, () => layers.dense({ units: 1 })));
    const { topology } = splitModel(tfl.model({ inputs: x, outputs: through([deep, shallow], layers.add()) }));
    await expect(towerFromManifest({ topology })).rejects.toThrow(
      /layer "twice" is called several times, in an order that tfjs reads back wrongly/,
    );
  });
});
