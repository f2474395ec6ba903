/**
 * The tfjs side of a worker's step: one backward pass for the dense weights *and* just the pulled rows, on whatever
 * backend is set. tfjs's own embedding gradient allocates the whole table; here the rows are an input like any other.
 *
 * Shapes: B samples of this slot, E = Σ dims of the embedding uses, N number fields.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { layers, LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { LossName, ModelSpec } from "../job/manifest.ts";
import type { GradientModel, StepGradients, StepInput } from "../training/gradient-model.ts";
import { lossSum } from "./loss.ts";
import { PackedTower } from "./packed-tower.ts";
import { seedFrom, withoutFinalSigmoid, withZeroWeights, type Topology } from "./topology.ts";
import { towerFromManifest } from "./tower.ts";
import { quickenWasmMatMul } from "./wasm-matmul.ts";

/** One variable's place in the flat dense weights. */
export interface VariableSlice {
  name: string;
  shape: readonly number[];
  trainable: boolean;
  offset: number;
  size: number;
}

/**
 * The tower of a job on this worker's device. Its methods copy what they are given before they return, except `step`
 * and `predict`, whose arrays must stay as they are until the promise settles: some backends read them late.
 */
export class TrainingModel implements GradientModel {
  /** Every weight, in the order of the manifest; the ones that are not trainable get gradients of 0. */
  readonly variables: readonly VariableSlice[];
  readonly denseFloats: number;
  readonly #tower: LayersModel;
  readonly #packed: PackedTower;
  readonly #loss: LossName;
  readonly #form: "logits" | "values";
  readonly #E: number;
  readonly #N: number;
  readonly #dropouts: readonly Dropout[];

  private constructor(o: { tower: LayersModel; spec: ModelSpec; loss: LossName; form: "logits" | "values" }) {
    this.#tower = o.tower;
    this.#packed = new PackedTower(o.tower, o.spec);
    this.#loss = o.loss;
    this.#form = o.form;
    this.#E = o.spec.embeddings.reduce((floats, { dim }) => floats + dim, 0);
    this.#N = o.spec.numbers.length;
    this.#dropouts = dropoutsOf(o.tower);
    this.variables = slicesOf(o.tower.weights);
    this.denseFloats = this.variables.reduce((floats, { size }) => floats + size, 0);
  }

  /**
   * Builds the tower of `spec`. Its weights are 0 until `setDense`: what the initializers would draw, at length, is in
   * the job's dense weights already.
   *
   * @throws {TypeError} layers this worker does not know, or that give other variables than the manifest names
   */
  static async create(spec: ModelSpec, loss: LossName): Promise<TrainingModel> {
    quickenWasmMatMul();
    const stripped = withoutFinalSigmoid(spec.topology as Topology);
    const topology = withZeroWeights(stripped ?? (spec.topology as Topology));
    const tower = await towerFromManifest({ topology: { ...topology } });
    const model = new TrainingModel({ tower, spec, loss, form: stripped ? "logits" : "values" });
    const odd = spec.variables.find(
      ({ shape }, i) => JSON.stringify(shape) !== JSON.stringify(model.variables[i]?.shape),
    );
    if (odd === undefined && spec.variables.length === model.variables.length) return model;
    model.dispose();
    throw new TypeError(
      `the tower built here has ${model.variables.length} variables, the manifest ${spec.variables.length}` +
        `${odd ? `, and differs at "${odd.name}"` : ""}: run one version of tfjs on all nodes`,
    );
  }

  setDense(flat: Float32Array): void {
    checkLength("dense weights", flat, this.denseFloats);
    for (const [i, weight] of this.#tower.weights.entries()) {
      const { shape, offset, size } = this.variables[i]!;
      tf.tidy(() => {
        weight.write(tf.tensor(flat.slice(offset, offset + size), [...shape]));
      });
    }
  }

  async step({ rows, numbers, label, samples, globalSamples }: StepInput): Promise<StepGradients> {
    this.#check({ rows, numbers, samples });
    checkLength("labels", label, samples);
    if (samples === 0)
      return { rowGrads: new Float32Array(0), denseGrads: new Float32Array(this.denseFloats), lossSum: 0 };
    this.#seedDropouts([rows, numbers, label]);
    const [rowGrads, rest] = tf.tidy(() => this.#gradients({ rows, numbers, label, samples, globalSamples }));
    const arrays = await Promise.all([ownData(rowGrads, [rows, numbers, label]), ownData(rest, [])]);
    return this.#unpack(...arrays);
  }

  async predict({
    rows,
    numbers,
    samples,
  }: {
    rows: Float32Array;
    numbers: Float32Array;
    samples: number;
  }): Promise<Float32Array> {
    this.#check({ rows, numbers, samples });
    if (samples === 0) return new Float32Array(0);
    const scores = tf.tidy(() => {
      const output = this.#packed.run(this.#upload({ rows, numbers, samples }), { mode: "predict" });
      return tf.reshape(this.#form === "logits" ? tf.sigmoid(output) : output, [samples]);
    });
    return ownData(scores, [rows, numbers]);
  }

  dispose(): void {
    this.#tower.dispose();
  }

  /** The gradient of the rows, and everything else in one tensor: [Σ loss, gradients of the variables]. */
  #gradients(at: StepInput): [tf.Tensor, tf.Tensor] {
    const inputs = this.#upload(at);
    const label = tf.tensor1d(at.label);
    const trained = this.#tower.weights.filter(({ trainable }) => trainable).map((weight) => weight.read());
    const loss = (): tf.Scalar => {
      const output = tf.reshape(this.#packed.run(inputs, { mode: "train" }), [at.samples]);
      const sum = lossSum(this.#loss, { output, label, form: this.#form });
      // A regularizer's loss is the step's, not a sample's: this slot carries its share.
      return this.#tower.calculateLosses().reduce((total, each) => tf.add(total, tf.mul(each, at.samples)), sum);
    };
    const xs = [...(this.#E > 0 ? [inputs.rows] : []), ...trained];
    const { value, grads } = tf.engine().gradients(loss, xs, tf.scalar(1 / at.globalSamples));
    const [rowGrads, varGrads] = this.#E > 0 ? [grads[0], grads.slice(1)] : [undefined, grads];
    const flat = varGrads.map((grad, i): tf.Tensor1D => (grad ? tf.reshape(grad, [-1]) : tf.zeros([trained[i]!.size])));
    return [rowGrads ?? tf.zeros([at.samples, this.#E]), tf.concat1d([tf.reshape(value, [1]), ...flat])];
  }

  #upload({ rows, numbers, samples }: { rows: Float32Array; numbers: Float32Array; samples: number }) {
    return { rows: tf.tensor2d(rows, [samples, this.#E]), numbers: tf.tensor2d(numbers, [samples, this.#N]) };
  }

  #unpack(rowGrads: Float32Array, rest: Float32Array): StepGradients {
    if (this.variables.every(({ trainable }) => trainable))
      return { rowGrads, denseGrads: rest.subarray(1), lossSum: rest[0]! };
    const denseGrads = new Float32Array(this.denseFloats);
    let at = 1;
    for (const { trainable, offset, size } of this.variables) {
      if (trainable) denseGrads.set(rest.subarray(at, (at += size)), offset);
    }
    return { rowGrads, denseGrads, lossSum: rest[0]! };
  }

  #check({ rows, numbers, samples }: { rows: Float32Array; numbers: Float32Array; samples: number }): void {
    checkLength("packed rows", rows, samples * this.#E);
    checkLength("packed numbers", numbers, samples * this.#N);
  }

  /** A slot that is computed again must drop the same units, so the seed is made of the samples themselves. */
  #seedDropouts(samples: readonly Float32Array[]): void {
    if (this.#dropouts.length === 0) return;
    const words = samples.map((values) => values.subarray(0, 64).join());
    for (const [i, layer] of this.#dropouts.entries()) layer.seed = seedFrom([i, ...words]);
  }
}

type Dropout = layers.Layer & { seed: number };

/** The dropout layers of a model and of the models nested in it. */
function dropoutsOf(model: LayersModel): Dropout[] {
  return model.layers.flatMap((layer) => {
    if ("layers" in layer) return dropoutsOf(layer as LayersModel);
    return ["Dropout", "SpatialDropout1D"].includes(layer.getClassName()) ? [layer as Dropout] : [];
  });
}

function slicesOf(weights: readonly LayerVariable[]): VariableSlice[] {
  let offset = 0;
  return weights.map(({ originalName, shape, trainable }) => {
    const size = tf.util.sizeFromShape(shape as number[]);
    offset += size;
    return { name: originalName, shape: shape as number[], trainable, offset: offset - size, size };
  });
}

function checkLength(what: string, { length }: Float32Array, wanted: number): void {
  if (length !== wanted) throw new RangeError(`${what}: got ${length} floats; the model needs ${wanted}`);
}

/**
 * Reads a tensor and disposes it. The cpu backend hands out the array the tensor lives in, which may even be one that
 * was uploaded; with the tensor gone it is the caller's, unless it was theirs before.
 */
async function ownData(tensor: tf.Tensor, uploaded: readonly Float32Array[]): Promise<Float32Array> {
  const data = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return uploaded.some(({ buffer }) => buffer === data.buffer) ? data.slice() : data;
}
