import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { sgd } from "../optimizer/index.ts";
import { convertEmbeddings, hasTfjsEmbedding, tableRowsOf, type ConvertOptions } from "./convert-embeddings.ts";
import { uniform, zeros } from "./layers/initializer.ts";
import { through } from "./layers/through.ts";
import { ids, jobOf, plain, sigmoid } from "./test-tfjs-models.ts";

const { layers } = tfl;

describe("convertEmbeddings", () => {
  beforeAll(() => tf.setBackend("cpu"));

  const converted = async (
    outputs: tfl.SymbolicTensor,
    inputs: tfl.SymbolicTensor | tfl.SymbolicTensor[],
    options?: ConvertOptions,
  ) => {
    const original = tfl.model({ inputs, outputs });
    try {
      return await convertEmbeddings(original, options);
    } finally {
      original.dispose();
    }
  };
  const embedded = (layer: tfl.layers.Layer, input = ids("a", [3])) =>
    [through(layer.apply(input) as tfl.SymbolicTensor, layers.flatten(), sigmoid()), input] as const;

  it("keeps names, shapes and weights, makes inputs of ids int32, and leaks nothing", async () => {
    const a = tfl.input({ name: "a", shape: [3] });
    const x = tfl.input({ name: "x", shape: [2] });
    const flat = through(plain(7, 2, { name: "letters" }).apply(a) as tfl.SymbolicTensor, layers.flatten());
    const original = tfl.model({
      inputs: [a, x],
      outputs: through([flat, x], layers.concatenate(), sigmoid()),
      name: "mine",
    });
    const { numTensors } = tf.memory();
    const model = await convertEmbeddings(original);
    expect(model.name).toBe("mine");
    expect(model.inputs.map(({ sourceLayer: { name }, dtype, shape }) => ({ name, dtype, shape }))).toEqual([
      { name: "a", dtype: "int32", shape: [null, 3] },
      { name: "x", dtype: "float32", shape: [null, 2] },
    ]);
    expect(model.outputs[0]!.shape).toEqual([null, 1]);
    expect(model.getWeights().map((w) => [...w.dataSync()])).toEqual(
      original
        .getWeights()
        .slice(1)
        .map((w) => [...w.dataSync()]),
    );
    const [table] = tableRowsOf(model);
    expect(table!.table).toBe("letters");
    expect([...table!.keys]).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n]);
    expect([...table!.values]).toEqual([...original.getWeights()[0]!.dataSync()]);
    expect(hasTfjsEmbedding(original)).toBe(true);
    expect(hasTfjsEmbedding(model)).toBe(false);
    model.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
    original.dispose();
  });

  it("takes a Sequential model, and nested ones: two towers", async () => {
    const sequential = tfl.sequential({
      layers: [plain(9, 2, { inputLength: 4, name: "words" }), layers.flatten(), sigmoid()],
    });
    const one = await convertEmbeddings(sequential);
    expect((await jobOf(one)).manifest.model.embeddings).toMatchObject([
      { table: "words", dim: 2, usage: { kind: "sequence", length: 4, mask: "none" } },
    ]);
    const tower = (name: string) =>
      tfl.sequential({
        name,
        layers: [plain(9, 2, { inputLength: 1, name: `${name}s` }), layers.flatten(), layers.dense({ units: 3 })],
      });
    const [user, item] = [ids("user"), ids("item")];
    const sides = [tower("users").apply(user), tower("items").apply(item)] as tfl.SymbolicTensor[];
    const two = await converted(through(sides, layers.dot({ axes: 1 }), layers.activation({ activation: "sigmoid" })), [
      user,
      item,
    ]);
    const { manifest, tableRows } = await jobOf(two);
    expect(manifest.model.embeddings.map(({ field, table, usage }) => [field, table, usage.kind])).toEqual([
      ["user", "userss", "one"],
      ["item", "itemss", "one"],
    ]);
    expect(tableRows.map(({ table }) => table)).toEqual(["userss", "itemss"]);
  });

  it("names tables by the options, the layer, or the input of a layer that tfjs named", async () => {
    const [a, b, c] = [ids("a", [3]), ids("b", [3]), ids("c", [3])];
    const rows = [
      plain(5, 2, { name: "first" }).apply(a),
      plain(5, 2, { name: "second" }).apply(b),
      layers.embedding({ inputDim: 5, outputDim: 2, embeddingsInitializer: "zeros" }).apply(c),
    ] as tfl.SymbolicTensor[];
    const model = await converted(through(rows, layers.add(), layers.flatten(), sigmoid()), [a, b, c], {
      tables: { first: "alpha", second: { optimizer: "adam", l2: 0.1 } },
      optimizer: sgd({ learningRate: 1 }),
    });
    const { tables } = (await jobOf(model)).manifest;
    expect(tables.map(({ name, optimizer, initializer, l2 }) => [name, optimizer.kind, initializer, l2])).toEqual([
      ["alpha", "sgd", uniform({ min: -0.5, max: 0.5 }), undefined],
      ["c", "sgd", zeros(), undefined],
      ["second", "adam", uniform({ min: -0.5, max: 0.5 }), 0.1],
    ]);
  });

  it("keeps what a frozen layer has, and bounds rows as a constraint does", async () => {
    const frozen = await converted(...embedded(plain(5, 2, { name: "e", trainable: false })));
    expect((await jobOf(frozen)).manifest.tables[0]!.optimizer).toEqual({ kind: "none" });
    const bounded = await converted(
      ...embedded(plain(5, 2, { name: "e", embeddingsConstraint: tfl.constraints.maxNorm({ maxValue: 2, axis: 1 }) })),
    );
    expect((await jobOf(bounded)).manifest.tables[0]!.maxNorm).toBe(2);
  });

  it.each<
    [string, () => readonly [tfl.SymbolicTensor, tfl.SymbolicTensor | tfl.SymbolicTensor[]], ConvertOptions, RegExp]
  >([
    [
      "a regularizer, which pulls at rows that no sample uses",
      () => embedded(plain(5, 2, { name: "e", embeddingsRegularizer: tfl.regularizers.l2({ l2: 0.1 }) })),
      {},
      /"e" has an embeddingsRegularizer, which changes every row in every step.* tables: \{ "e": \{ l2: 0\.2 \} \}/,
    ],
    [
      "a constraint that is not of each row",
      () =>
        embedded(plain(5, 2, { name: "e", embeddingsConstraint: tfl.constraints.maxNorm({ maxValue: 2, axis: 0 }) })),
      {},
      /"e" has the embeddingsConstraint .* a table can bound the length of each row only/,
    ],
    [
      "a row over its bound",
      () => embedded(plain(5, 2, { name: "e", embeddingsInitializer: "ones" })),
      { tables: { e: { maxNorm: 1 } } },
      /"e": row 0 has the length 1\.414, over its maxNorm 1/,
    ],
    [
      "lists of any length",
      () => {
        const a = tfl.input({ name: "a", shape: [null], dtype: "int32" });
        return [
          through(plain(5, 2, { name: "e" }).apply(a) as tfl.SymbolicTensor, layers.globalAveragePooling1d({})),
          a,
        ];
      },
      {},
      /"e": its input "a" has the shape \[null,null\]; the cluster needs a fixed number of ids a sample: .* inputLength/,
    ],
    [
      "ids that a layer computes",
      () => {
        const a = ids("a", [3]);
        const computed = through(a, layers.reshape({ targetShape: [3] }));
        return [embedded(plain(5, 2, { name: "e" }), computed)[0], a];
      },
      {},
      /"e": its ids are computed by layer "reshape.*ids must come straight from an input/,
    ],
    [
      "an input that gives ids and numbers",
      () => {
        const a = ids("a", [3]);
        const flat = through(plain(5, 2).apply(a) as tfl.SymbolicTensor, layers.flatten());
        return [through([flat, a], layers.concatenate(), sigmoid()), a];
      },
      {},
      /input "a" gives ids to an embedding and numbers to another layer; make it two inputs/,
    ],
    [
      "two layers in one table",
      () => {
        const [a, b] = [ids("a", [3]), ids("b", [3])];
        const rows = [plain(5, 2, { name: "e" }).apply(a), plain(5, 2, { name: "f" }).apply(b)] as tfl.SymbolicTensor[];
        return [through(rows, layers.add(), layers.flatten(), sigmoid()), [a, b]];
      },
      { tables: { e: "t", f: "t" } },
      /layers "e" and "f" would share the table "t", and each has rows of its own/,
    ],
    [
      "options of a layer that is not there",
      () => embedded(plain(5, 2, { name: "letters" })),
      { tables: { letter: "t" } },
      /no embedding layer "letter"; it has "letters"\. Did you mean "letters"\?/,
    ],
    [
      "a wrapped embedding",
      () => {
        const a = ids("a", [3, 2]);
        const wrapped = layers.timeDistributed({ layer: plain(5, 2, { name: "e" }) }).apply(a) as tfl.SymbolicTensor;
        return [through(wrapped, layers.flatten(), sigmoid()), a];
      },
      {},
      /"e" is wrapped by ".*"; apply it to an input by itself/,
    ],
  ])("refuses %s, and leaks nothing", async (_, build, options, message) => {
    const [outputs, inputs] = build();
    const original = tfl.model({ inputs, outputs });
    const { numTensors } = tf.memory();
    await expect(convertEmbeddings(original, options)).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(numTensors);
    original.dispose();
  });
});
