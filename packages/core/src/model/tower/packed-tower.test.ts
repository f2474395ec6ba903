/** Runs of towers on packed inputs, with masks, against tfjs's own executor on the author's graph fed apart. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { floatsOfNumbers, floatsOfUse } from "../../job/manifest.ts";
import { embedding, type EmbeddingArgs } from "../layers/embedding.ts";
import { input } from "../layers/input.ts";
import { PackedTower } from "./packed-tower.ts";
import { through } from "../layers/through.ts";
import { splitModel, towerFromManifest } from "./tower.ts";

const { layers } = tfl;
const B = 3;
const [L, D] = [4, 2];
/** The places that count of each sample's sequence. */
const LENGTHS = [4, 2, 0];

interface Fields {
  /** Rows of a sequence of L keys, [L, D]. */
  sequence: (name: string, options?: Partial<EmbeddingArgs>) => tfl.SymbolicTensor;
  /** One row, [D]. */
  row: (name: string) => tfl.SymbolicTensor;
  numbers: (name: string, shape: number[]) => tfl.SymbolicTensor;
}

const recurrent = { units: 3, recurrentInitializer: "glorotNormal" as const };

const MODELS: Record<string, (fields: Fields) => tfl.SymbolicTensor> = {
  "an LSTM over a masked sequence": ({ sequence }) => through(sequence("a"), layers.lstm(recurrent)),
  "a GRU over one without a mask": ({ sequence }) => through(sequence("a", { mask: "none" }), layers.gru(recurrent)),
  "a dense layer that passes the mask on": ({ sequence }) =>
    through(sequence("a"), layers.dense({ units: 3 }), layers.simpleRNN(recurrent)),
  "both directions": ({ sequence }) =>
    through(sequence("a"), layers.bidirectional({ layer: layers.gru(recurrent), mergeMode: "concat" })),
  stacked: ({ sequence }) =>
    through(sequence("a"), layers.lstm({ ...recurrent, returnSequences: true }), layers.lstm(recurrent)),
  "two sequences side by side": ({ sequence }) =>
    through([sequence("a"), sequence("b")], layers.concatenate(), layers.lstm(recurrent)),
  "two sequences one after the other": ({ sequence }) =>
    through(
      [sequence("a", { mask: "none" }), sequence("b", { mask: "none" })],
      layers.concatenate({ axis: 1 }),
      layers.flatten(),
    ),
  "a sequence spread out, with rows and numbers": ({ sequence, row, numbers }) =>
    through(
      [
        through(sequence("a"), layers.flatten()),
        row("b"),
        numbers("x", [1]),
        through(numbers("y", [2, 3]), layers.flatten()),
      ],
      layers.concatenate(),
      layers.dense({ units: 2 }),
    ),
  "attention by dot products": ({ sequence, row }) => {
    const items = sequence("a", { mask: "none" });
    const query = through(row("b"), layers.reshape({ targetShape: [1, D] }));
    const scores = through([query, items], layers.dot({ axes: -1 }));
    const shares = through(scores, layers.softmax({ axis: -1 }));
    return through([shares, items], layers.dot({ axes: [2, 1] }), layers.flatten());
  },
  "a convolution over an image": ({ numbers }) =>
    through(
      numbers("image", [5, 5, 1]),
      layers.conv2d({ filters: 2, kernelSize: 3, activation: "relu" }),
      layers.averagePooling2d({ poolSize: 2 }),
      layers.flatten(),
    ),
  "tfjs's masking layer": ({ numbers }) =>
    through(numbers("x", [L, 2]), layers.masking({ maskValue: 0 }), layers.lstm(recurrent)),
};

/** Numbers are data: no gradient of theirs is asked for. */
const WITHOUT_ROWS = ["a convolution over an image", "tfjs's masking layer"];

const wave = (floats: number, by: number) => Float32Array.from({ length: floats }, (_, i) => Math.sin(i * by + 1));

/** Cuts columns [from, from + width) of `packed`, by plain loops. */
function columns(packed: Float32Array, from: number, shape: readonly number[]): tf.Tensor {
  const width = shape.reduce((product, size) => product * size, 1);
  const N = packed.length / B;
  const rows = Array.from({ length: B }, (_, b) => [...packed.subarray(b * N + from, b * N + from + width)]);
  return tf.tensor(rows.flat(), [B, ...shape]);
}

/** The author's tower as a plain model: the sequences of `masked` behind a layer that makes tfjs's own masks. */
async function prepared(build: (fields: Fields) => tfl.SymbolicTensor) {
  const inputs: tfl.SymbolicTensor[] = [];
  const field = (tensor: tfl.SymbolicTensor): tfl.SymbolicTensor => {
    inputs.push(tensor);
    return tensor;
  };
  const outputs = build({
    sequence: (name, options = {}) =>
      embedding({ table: name, dim: D, ...options }).apply(field(input({ name, dtype: "string", shape: [L] }))),
    row: (name) => embedding({ table: name, dim: D }).apply(field(input({ name, dtype: "string" }))),
    numbers: (name, shape) => field(input({ name, dtype: "float32", shape })),
  });
  const model = tfl.model({ inputs, outputs });
  const split = splitModel(model);
  model.dispose();
  const tower = await towerFromManifest(split);
  return { split, tower };
}

type Prepared = Awaited<ReturnType<typeof prepared>>;

/** Packed inputs: padded places of masked sequences are 0, as the embedding makes them. */
function packedOf({ split }: Prepared) {
  const E = split.embeddings.reduce((sum, use) => sum + floatsOfUse(use), 0);
  const N = split.numbers.reduce((sum, use) => sum + floatsOfNumbers(use), 0);
  const [rows, numbers] = [wave(B * E, 1.3), wave(B * N, 0.7)];
  const masks: number[][] = Array.from({ length: B }, () => []);
  let at = 0;
  for (const use of split.embeddings) {
    if (use.usage.kind === "sequence" && use.usage.mask !== "none") {
      for (const [b, length] of LENGTHS.entries()) {
        for (let place = 0; place < L; place++) {
          masks[b]!.push(place < length ? 1 : 0);
          if (place >= length) rows.fill(0, b * E + at + place * D, b * E + at + (place + 1) * D);
        }
      }
    }
    at += floatsOfUse(use);
  }
  if (split.numbers.some(({ shape }) => shape.length === 2 && shape[0] === L)) numbers.fill(0, N, 2 * N);
  return { rows, numbers, masks: masks[0]!.length > 0 ? Float32Array.from(masks.flat()) : undefined };
}

/** The tower by tfjs itself. Its executor masks what `tf.layers.masking` finds to be 0: the padded places. */
function byTfjs({ split, tower }: Prepared, packed: { rows: Float32Array; numbers: Float32Array }): tf.Tensor {
  const feeds: tf.Tensor[] = [];
  let at = 0;
  for (const use of split.embeddings) {
    const shape = use.usage.kind === "sequence" ? [use.usage.length, use.dim] : [use.dim];
    feeds.push(columns(packed.rows, at, shape));
    at += floatsOfUse(use);
  }
  at = 0;
  for (const use of split.numbers) {
    feeds.push(columns(packed.numbers, at, use.shape));
    at += floatsOfNumbers(use);
  }
  const inputs = tower.inputs.map(({ name, shape }) => tfl.input({ name: `${name}_again`, shape: shape.slice(1) }));
  const masked = inputs.map((tensor, i) => {
    const usage = split.embeddings[i]?.usage;
    return usage?.kind === "sequence" && usage.mask !== "none"
      ? through(tensor, layers.masking({ maskValue: 0 }))
      : tensor;
  });
  const graph = rebuilt(tower, masked);
  const again = tfl.model({ inputs, outputs: graph });
  const result = again.predictOnBatch(feeds) as tf.Tensor;
  again.dispose();
  return result;
}

/** The tower's own layers, called once more on other inputs. */
function rebuilt(tower: tfl.LayersModel, inputs: tfl.SymbolicTensor[]): tfl.SymbolicTensor {
  const made = new Map(tower.inputs.map(({ id }, i) => [id, inputs[i]!]));
  const visit = (tensor: tfl.SymbolicTensor): tfl.SymbolicTensor => {
    const known = made.get(tensor.id);
    if (known) return known;
    const from = tensor.sourceLayer.inboundNodes[tensor.nodeIndex]!.inputTensors.map(visit);
    const result = tensor.sourceLayer.apply(from.length === 1 ? from[0]! : from) as tfl.SymbolicTensor;
    made.set(tensor.id, result);
    return result;
  };
  return visit(tower.outputs[0]!);
}

function run(packedTower: PackedTower, packed: ReturnType<typeof packedOf>): tf.Tensor {
  return packedTower.run(
    {
      rows: tf.tensor2d(packed.rows, [B, packed.rows.length / B]),
      numbers: tf.tensor2d(packed.numbers, [B, packed.numbers.length / B]),
      masks: packed.masks && tf.tensor2d(packed.masks, [B, packed.masks.length / B]),
    },
    { mode: "predict" },
  );
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i]! - wanted[i]!)).toBeLessThan(1e-5);
}

describe("PackedTower", () => {
  let tensorsBefore: number;
  beforeAll(() => tf.setBackend("cpu"));
  beforeEach(() => {
    tensorsBefore = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors).toBe(tensorsBefore);
  });

  it.each(Object.entries(MODELS))("computes what tfjs's executor does: %s", async (_, build) => {
    const model = await prepared(build);
    const packed = packedOf(model);
    const [got, wanted] = tf.tidy(() => {
      const both = [run(new PackedTower(model.tower, model.split), packed), byTfjs(model, packed)];
      return both.map((tensor) => tensor.dataSync().slice());
    });
    expectClose(got!, wanted!);
    expect(got!.some((value) => value !== 0)).toBe(true);
    model.tower.dispose();
  });

  const ofRows = Object.entries(MODELS).filter(([name]) => !WITHOUT_ROWS.includes(name));
  it.each(ofRows)("has the gradients of finite differences: %s", async (_, build) => {
    const model = await prepared(build);
    const packed = packedOf(model);
    const tower = new PackedTower(model.tower, model.split);
    tf.tidy(() => {
      const rows = tf.tensor2d(packed.rows, [B, packed.rows.length / B]);
      const numbers = tf.tensor2d(packed.numbers, [B, packed.numbers.length / B]);
      const masks = packed.masks && tf.tensor2d(packed.masks, [B, packed.masks.length / B]);
      const at = (r: tf.Tensor): tf.Scalar =>
        tf.sum(tf.square(tower.run({ rows: r as tf.Tensor2D, numbers, masks }, { mode: "train" })));
      const [gradient] = tf.grads(at)([rows]);
      const found = gradient!.dataSync();
      const values = rows.dataSync();
      for (const i of [0, 3, values.length - 1]) {
        const bumped = (by: number): number => {
          const copy = values.slice();
          copy[i]! += by;
          return at(tf.tensor2d(copy, rows.shape)).dataSync()[0]!;
        };
        const difference = (bumped(1e-2) - bumped(-1e-2)) / 2e-2;
        expect(Math.abs(found[i]! - difference)).toBeLessThan(5e-3 * Math.max(1, Math.abs(difference)));
      }
    });
    model.tower.dispose();
  });

  it("joins the masks of sequences that are added, all of them", async () => {
    const model = await prepared(({ sequence }) =>
      through([sequence("a"), sequence("b"), sequence("c")], layers.add(), layers.lstm(recurrent)),
    );
    const packed = packedOf(model);
    const masked = (mask: number[]) => {
      const masks = packed.masks!.slice();
      masks.set(mask, 2 * L);
      return tf.tidy(() =>
        run(new PackedTower(model.tower, model.split), { ...packed, masks })
          .dataSync()
          .slice(0, 3),
      );
    };
    expect(masked([0, 0, 0, 0])).toEqual(Float32Array.of(0, 0, 0));
    expect(masked([1, 1, 1, 1])).not.toEqual(Float32Array.of(0, 0, 0));
    model.tower.dispose();
  });

  it("cuts nothing where layers read neighbours whole, spread-out sequences too", async () => {
    const model = await prepared(({ sequence, row }) =>
      through([row("a"), through(sequence("b", { mask: "none" }), layers.flatten()), row("c")], layers.concatenate()),
    );
    const packed = packedOf(model);
    const tower = new PackedTower(model.tower, model.split);
    const profile = await tf.profile(() => tf.tidy(() => run(tower, packed).shape));
    expect(profile.kernelNames).not.toContain("SplitV");
    model.tower.dispose();
  });
});
