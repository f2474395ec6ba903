/**
 * The tfjs side of a worker's step: one backward pass for the dense weights *and* just the pulled rows, on whatever
 * backend is set. tfjs's own embedding gradient allocates the whole table; here the rows are an input like any other.
 *
 * Shapes: B samples of this slot, E floats of a sample's rows, N floats of its numbers, M places of its masked
 * sequences, L floats of its label, O numbers the model gives.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { checkLossShape } from "../../job/label-shape.ts";
import {
  floatsOfNumbers,
  floatsOfUse,
  maskedPlacesOfUse,
  type JobManifest,
  type LossName,
  type ModelSpec,
} from "../../job/manifest.ts";
import type { GradientModel, PredictInput, StepGradients, StepInput } from "../../training/job/gradient-model.ts";
import { completeGradients } from "./complete-gradients.ts";
import { dropoutsOf, seedDropouts } from "./dropout-seeds.ts";
import { activationUndoneBy, lossSum } from "./loss.ts";
import { ownData } from "./own-data.ts";
import { PackedTower, type PackedInputs } from "./packed-tower.ts";
import { sampleWeights, type ClassWeight } from "./sample-weights.ts";
import { withoutFinalActivation, withZeroWeights, type Topology } from "./topology.ts";
import { towerFromManifest } from "./tower.ts";

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
  /** The activation that was taken off the tower's end, for the loss to work with logits. */
  readonly #undone: "sigmoid" | "softmax" | undefined;
  readonly #classWeight: ClassWeight | undefined;
  readonly #E: number;
  readonly #N: number;
  readonly #M: number;
  readonly #O: number;
  readonly #dropouts: ReturnType<typeof dropoutsOf>;

  private constructor({ tower, spec, loss, undone, classWeight }: Parts) {
    this.#tower = tower;
    this.#packed = new PackedTower(tower, spec);
    this.#loss = loss;
    this.#undone = undone;
    this.#classWeight = classWeight;
    this.#E = spec.embeddings.reduce((floats, use) => floats + floatsOfUse(use), 0);
    this.#N = spec.numbers.reduce((floats, use) => floats + floatsOfNumbers(use), 0);
    this.#M = spec.embeddings.reduce((places, use) => places + maskedPlacesOfUse(use), 0);
    this.#O = spec.outputs;
    this.#dropouts = dropoutsOf(tower);
    this.variables = slicesOf(tower.weights);
    this.denseFloats = this.variables.reduce((floats, { size }) => floats + size, 0);
  }

  /**
   * Builds the tower of a job. Its weights are 0 until `setDense`: what the initializers would draw, at length, is in
   * the job's dense weights already.
   *
   * @throws {TypeError} layers this worker does not know, or that give other variables than the manifest names; a
   * loss that does not fit the model's outputs
   */
  static async create({ model: spec, compile, fit }: TrainedJob): Promise<TrainingModel> {
    const { loss } = compile;
    if (typeof loss !== "string") throw new TypeError(`"${loss.function}" is a training function, not a loss by name`);
    if (spec.topology === undefined) throw new TypeError(`loss "${loss}" needs a model, and the job has none`);
    checkLossShape({ loss, outputs: spec.outputs });
    completeGradients();
    const undone = activationUndoneBy(loss);
    const stripped = undone && withoutFinalActivation(spec.topology as unknown as Topology, undone);
    const topology = withZeroWeights(stripped ?? (spec.topology as unknown as Topology));
    const tower = await towerFromManifest({ topology: { ...topology } });
    const { classWeight } = fit;
    const model = new TrainingModel({ tower, spec, loss, undone: stripped && undone, classWeight });
    try {
      model.#checkTower(spec);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
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

  async step(at: StepInput): Promise<StepGradients> {
    const { rows, numbers, masks, label, weight, samples } = at;
    this.#checkInputs(at);
    if (samples === 0)
      return { rowGrads: new Float32Array(0), denseGrads: new Float32Array(this.denseFloats), lossSum: 0 };
    this.#checkLabels(at);
    seedDropouts(this.#dropouts, [rows, numbers, label]);
    const [rowGrads, rest] = tf.tidy(() => this.#gradients(at));
    const given = [rows, numbers, label, ...(masks ? [masks] : []), ...(weight ? [weight] : [])];
    const arrays = await Promise.all([ownData(rowGrads, given), ownData(rest, [])]);
    return this.#unpack(...arrays);
  }

  async predict(at: PredictInput): Promise<Float32Array> {
    const { rows, numbers, masks, samples } = at;
    this.#checkInputs(at);
    if (samples === 0) return new Float32Array(0);
    const scores = tf.tidy(() => {
      const output = this.#packed.run(this.#upload(at), { mode: "predict" });
      return activated(tf.reshape(output, [samples, this.#O]), this.#undone);
    });
    return ownData(scores, [rows, numbers, ...(masks ? [masks] : [])]);
  }

  dispose(): void {
    this.#tower.dispose();
  }

  /** The gradient of the rows, and everything else in one tensor: [Σ loss, gradients of the variables]. */
  #gradients(at: StepInput): [tf.Tensor, tf.Tensor] {
    const { samples, globalSamples } = at;
    const inputs = this.#upload(at);
    const labelWidth = at.label.length / samples;
    const label = tf.tensor2d(at.label, [samples, labelWidth]);
    const weights = sampleWeights({ label: at.label, labelWidth, weight: at.weight, classWeight: this.#classWeight });
    const weight = weights && tf.tensor1d(weights);
    const form = this.#undone === undefined ? "values" : "logits";
    const trained = this.#tower.weights.filter(({ trainable }) => trainable).map((variable) => variable.read());
    const loss = (): tf.Scalar => {
      const output = tf.reshape<tf.Rank.R2>(this.#packed.run(inputs, { mode: "train" }), [samples, this.#O]);
      const sum = lossSum(this.#loss, { output, label, weight, form });
      // A regularizer's loss is the step's, not a sample's: this slot carries its share.
      return this.#tower.calculateLosses().reduce((total, each) => tf.add(total, tf.mul(each, samples)), sum);
    };
    const xs = [...(this.#E > 0 ? [inputs.rows] : []), ...trained];
    const { value, grads } = tf.engine().gradients(loss, xs, tf.scalar(1 / globalSamples));
    const [rowGrads, varGrads] = this.#E > 0 ? [grads[0], grads.slice(1)] : [undefined, grads];
    const flat = varGrads.map((grad, i): tf.Tensor1D => (grad ? tf.reshape(grad, [-1]) : tf.zeros([trained[i]!.size])));
    return [rowGrads ?? tf.zeros([samples, this.#E]), tf.concat1d([tf.reshape(value, [1]), ...flat])];
  }

  #upload({ rows, numbers, masks, samples }: PredictInput): PackedInputs {
    return {
      rows: tf.tensor2d(rows, [samples, this.#E]),
      numbers: tf.tensor2d(numbers, [samples, this.#N]),
      ...(this.#M > 0 ? { masks: tf.tensor2d(masks!, [samples, this.#M]) } : {}),
    };
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

  #checkInputs({ rows, numbers, masks, samples }: PredictInput): void {
    checkLength("packed rows", rows, samples * this.#E);
    checkLength("packed numbers", numbers, samples * this.#N);
    checkLength("packed masks", masks ?? new Float32Array(0), samples * this.#M);
  }

  /** @throws {TypeError} labels the loss cannot compare with the outputs, or a class the model has no output for */
  #checkLabels({ label, weight, samples }: StepInput): void {
    const labelWidth = label.length / samples;
    if (!Number.isInteger(labelWidth))
      throw new RangeError(`labels: got ${label.length} floats for ${samples} samples`);
    if (weight) checkLength("weights", weight, samples);
    checkLossShape({ loss: this.#loss, outputs: this.#O, labelWidth });
    if (this.#loss !== "sparseCategoricalCrossentropy") return;
    const odd = label.findIndex(
      (number, b) => weight?.[b] !== 0 && !(Number.isInteger(number) && number >= 0 && number < this.#O),
    );
    if (odd === -1) return;
    throw new RangeError(
      `label of sample ${odd} is ${label[odd]}; the model gives ${this.#O} outputs, classes 0 to ${this.#O - 1}`,
    );
  }

  #checkTower({ variables, outputs }: ModelSpec): void {
    const odd = variables.find(({ shape }, i) => JSON.stringify(shape) !== JSON.stringify(this.variables[i]?.shape));
    if (odd !== undefined || variables.length !== this.variables.length) {
      throw new TypeError(
        `the tower built here has ${this.variables.length} variables, the manifest ${variables.length}` +
          `${odd ? `, and differs at "${odd.name}"` : ""}: run one version of tfjs on all nodes`,
      );
    }
    const given = this.#tower.outputs[0]!.shape.slice(1).reduce<number>((floats, size) => floats * (size ?? 1), 1);
    if (given !== outputs)
      throw new TypeError(`the tower built here gives ${given} numbers a sample, the manifest says ${outputs}`);
  }
}

/** The parts of a job manifest that a model is made of. */
export interface TrainedJob {
  model: ModelSpec;
  compile: Pick<JobManifest["compile"], "loss">;
  fit: Pick<JobManifest["fit"], "classWeight">;
}

interface Parts {
  tower: LayersModel;
  spec: ModelSpec;
  loss: LossName;
  undone: "sigmoid" | "softmax" | undefined;
  classWeight: ClassWeight | undefined;
}

/** Puts back what was taken off the tower's end. */
function activated(output: tf.Tensor, activation: "sigmoid" | "softmax" | undefined): tf.Tensor {
  if (activation === undefined) return output;
  return activation === "sigmoid" ? tf.sigmoid(output) : tf.softmax(output);
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
