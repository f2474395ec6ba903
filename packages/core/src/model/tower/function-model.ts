/**
 * A training function on a worker's device: one backward pass of its loss for the dense weights *and* just the pulled
 * rows, as `training-model.ts` does for the losses that have names. The job may have a model, the function's `tower`,
 * or none.
 *
 * Shapes: B samples of this slot, E floats of a sample's rows, N of its numbers, M places of its masked sequences.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import {
  floatsOfNumbers,
  type EmbeddingUse,
  type ModelSpec,
  type NumberUse,
  type VariableSpec,
} from "../../job/manifest.ts";
import type { GradientModel, PredictInput, StepGradients, StepInput } from "../../training/job/gradient-model.ts";
import { completeGradients } from "./complete-gradients.ts";
import { dropoutsOf, seedDropouts } from "./dropout-seeds.ts";
import { ownData } from "./own-data.ts";
import { PackedTower, type PackedInputs } from "./packed-tower.ts";
import { withZeroWeights, type Topology } from "./topology.ts";
import { towerFromManifest } from "./tower.ts";
import type { FunctionInputs, TrainingFunction } from "./training-function.ts";

/** A named part of a packed input, `floats` columns from `from` on, seen as `shape` for each sample. */
interface Part {
  readonly name: string;
  readonly from: number;
  readonly floats: number;
  readonly shape: readonly number[];
}

export interface FunctionModelOptions {
  spec: ModelSpec;
  definition: TrainingFunction;
}

export class FunctionModel implements GradientModel {
  readonly denseFloats: number;
  readonly #function: TrainingFunction;
  readonly #tower: LayersModel | undefined;
  readonly #packed: PackedTower | undefined;
  readonly #variables: readonly VariableSpec[];
  /** The function's own, behind the tower's. */
  readonly #own: readonly tf.Variable[];
  readonly #rows: readonly Part[];
  readonly #numbers: readonly Part[];
  readonly #masks: readonly Part[];
  /** Of the parts, those the tower takes: the first ones. */
  readonly #towerRows: number;
  readonly #towerNumbers: number;
  readonly #outputs: number;
  readonly #dropouts: ReturnType<typeof dropoutsOf>;

  private constructor({ spec, definition, tower }: FunctionModelOptions & { tower: LayersModel | undefined }) {
    const towerVariables = tower?.weights.length ?? 0;
    const isTowers = ({ input }: EmbeddingUse | NumberUse) => tower?.inputNames.includes(input) === true;
    const uses = spec.embeddings.filter(isTowers);
    const numbers = spec.numbers.filter(isTowers);
    this.#function = definition;
    this.#tower = tower;
    this.#packed = tower && new PackedTower(tower, { embeddings: uses, numbers });
    this.#variables = spec.variables;
    this.#own = spec.variables
      .slice(towerVariables)
      .map(({ shape, trainable }) => tf.tidy(() => tf.variable(tf.zeros(shape), trainable)));
    this.#rows = partsOf(rowNames(spec.embeddings, isTowers), spec.embeddings.map(rowShape));
    this.#numbers = partsOf(
      spec.numbers.map(({ input }) => input),
      spec.numbers.map(({ shape }) => shape),
    );
    const masked = spec.embeddings.flatMap(({ usage }, i) =>
      usage.kind === "sequence" && usage.mask !== "none" ? [{ name: this.#rows[i]!.name, length: usage.length }] : [],
    );
    this.#masks = partsOf(
      masked.map(({ name }) => name),
      masked.map(({ length }) => [length]),
    );
    this.#towerRows = uses.length;
    this.#towerNumbers = numbers.length;
    this.#outputs = spec.outputs;
    this.#dropouts = tower ? dropoutsOf(tower) : [];
    this.denseFloats = spec.variables.reduce((floats, each) => floats + floatsOfNumbers(each), 0);
  }

  /**
   * Builds the job's tower, if it has one; dense weights are 0 until `setDense`.
   *
   * @throws {TypeError} layers this worker does not know, or other variables than the manifest names
   */
  static async create({ spec, definition }: FunctionModelOptions): Promise<FunctionModel> {
    completeGradients();
    const topology = spec.topology && withZeroWeights(spec.topology as unknown as Topology);
    const tower = topology && (await towerFromManifest({ topology: { ...topology } }));
    const shapes = [
      ...(tower?.weights.map(({ shape }) => shape) ?? []),
      ...Object.values(definition.variables).map(({ shape }) => shape),
    ];
    if (JSON.stringify(shapes) === JSON.stringify(spec.variables.map(({ shape }) => shape)))
      return new FunctionModel({ spec, definition, tower });
    tower?.dispose();
    throw new TypeError(
      `the tower and the training function "${definition.name}" have ${shapes.length} variables here, which are not the ` +
        `${spec.variables.length} of the manifest: run one version of tfjs on all nodes`,
    );
  }

  setDense(flat: Float32Array): void {
    checkLength("dense weights", flat, this.denseFloats);
    const weights = this.#tower?.weights ?? [];
    let at = 0;
    for (const [i, variable] of this.#variables.entries()) {
      const floats = flat.slice(at, (at += floatsOfNumbers(variable)));
      tf.tidy(() => {
        const value = tf.tensor(floats, variable.shape);
        const weight = weights[i];
        if (weight) weight.write(value);
        else this.#own[i - weights.length]!.assign(value);
      });
    }
  }

  async step(at: StepInput): Promise<StepGradients> {
    const { rows, numbers, label, samples } = at;
    this.#check(at);
    if (samples === 0)
      return { rowGrads: new Float32Array(0), denseGrads: new Float32Array(this.denseFloats), lossSum: 0 };
    seedDropouts(this.#dropouts, [rows, numbers, label]);
    const [rowGrads, rest] = tf.tidy(() => this.#gradients(at));
    const [ofRows, flat] = await Promise.all([ownData(rowGrads, givenArrays(at)), ownData(rest, [])]);
    return { rowGrads: ofRows, denseGrads: flat.subarray(1), lossSum: flat[0]! };
  }

  async predict(at: PredictInput): Promise<Float32Array> {
    this.#check(at);
    const { samples } = at;
    if (samples === 0) return new Float32Array(0);
    const scores = tf.tidy(() => {
      const inputs = this.#inputs(this.#upload(at), samples, { mode: "predict" });
      const { name, predict } = this.#function;
      const output = predict ? predict(inputs) : inputs.tower();
      if (output.size === samples * this.#outputs) return tf.reshape(output, [samples * this.#outputs]);
      throw new TypeError(
        `training function "${name}": predict gave the shape [${output.shape.join(", ")}] for ${samples} samples with ` +
          `${this.#outputs} outputs each; return [samples, outputs]`,
      );
    });
    return ownData(scores, givenArrays(at));
  }

  dispose(): void {
    this.#tower?.dispose();
    tf.dispose([...this.#own]);
  }

  /** The gradient of the rows, and everything else in one tensor: [Σ loss, gradients of all variables]. */
  #gradients(at: StepInput): [tf.Tensor, tf.Tensor] {
    const { samples } = at;
    const packed = this.#upload(at);
    const labels = tf.tensor2d(at.label, [samples, at.label.length / samples]);
    const weight = at.weight ? tf.tensor1d(at.weight) : tf.ones<tf.Rank.R1>([samples]);
    const weights = [...(this.#tower?.weights.map((each) => each.read()) ?? []), ...this.#own];
    const trained = weights.filter((_, i) => this.#variables[i]!.trainable);
    const loss = (): tf.Scalar => {
      const inputs = this.#inputs(packed, samples, { mode: "train" });
      const sum = this.#checkedLoss(this.#function.step({ ...inputs, labels, weight }));
      // A regularizer's loss is the step's, not a sample's: this slot carries its share.
      const regularizers = this.#tower?.calculateLosses() ?? [];
      return regularizers.reduce((total, each) => tf.add(total, tf.mul(each, samples)), sum);
    };
    const xs = [...(packed.rows.size > 0 ? [packed.rows] : []), ...trained];
    const { value, grads } = tf.engine().gradients(loss, xs, tf.scalar(1 / at.globalSamples), true);
    const gradOf = new Map(xs.map((x, i) => [x, grads[i]]));
    const flat = weights.map((each) => flatten(gradOf.get(each) ?? tf.zeros(each.shape)));
    return [gradOf.get(packed.rows) ?? tf.zeros(packed.rows.shape), tf.concat1d([flatten(value), ...flat])];
  }

  #checkedLoss(loss: tf.Tensor): tf.Scalar {
    const place = `training function "${this.#function.name}": step`;
    if (!(loss instanceof tf.Tensor)) throw new TypeError(`${place} gave ${String(loss)}; return tf.sum(losses)`);
    if (loss.size === 1) return tf.reshape(loss, []);
    throw new TypeError(
      `${place} gave a tensor of shape [${loss.shape.join(", ")}]; return one number, the sum over the samples: tf.sum(losses)`,
    );
  }

  #upload({ rows, numbers, masks, samples }: PredictInput): PackedInputs {
    return {
      rows: tf.tensor2d(rows, [samples, widthOf(this.#rows)]),
      numbers: tf.tensor2d(numbers, [samples, widthOf(this.#numbers)]),
      masks: masks && tf.tensor2d(masks, [samples, widthOf(this.#masks)]),
    };
  }

  #inputs(packed: PackedInputs, samples: number, { mode }: { mode: "train" | "predict" }): FunctionInputs {
    const rows = cut(packed.rows, this.#rows);
    const numbers = cut(packed.numbers, this.#numbers);
    const ownNames = Object.keys(this.#function.variables);
    const tower: FunctionInputs["tower"] = (replaced = {}) => {
      if (!this.#packed)
        throw new TypeError(`training function "${this.#function.name}": its job has no model, so there is no tower`);
      const rowParts = this.#rows.slice(0, this.#towerRows);
      const numberParts = this.#numbers.slice(0, this.#towerNumbers);
      const inputs = {
        ...packed,
        rows: joined(packed.rows, rowParts, rows, replaced.rows, this.#function.name),
        numbers: joined(packed.numbers, numberParts, numbers, replaced.numbers, this.#function.name),
      };
      return this.#packed.run(inputs, { mode });
    };
    return {
      rows,
      numbers,
      masks: packed.masks ? cut(packed.masks, this.#masks) : {},
      variables: Object.fromEntries(ownNames.map((name, i) => [name, this.#own[i]!])),
      samples,
      tower,
    };
  }

  #check({ rows, numbers, samples }: PredictInput): void {
    checkLength("packed rows", rows, samples * widthOf(this.#rows));
    checkLength("packed numbers", numbers, samples * widthOf(this.#numbers));
  }
}

/** The model's rows by field, or by field and table where a field is used twice; the function's by its own names. */
export function rowNames(uses: readonly EmbeddingUse[], isTowers: (use: EmbeddingUse) => boolean): string[] {
  const fields = uses.filter(isTowers).map(({ field }) => field);
  const isUnique = (field: string) => fields.indexOf(field) === fields.lastIndexOf(field);
  return uses.map((use) => {
    if (!isTowers(use)) return use.input;
    return isUnique(use.field) ? use.field : `${use.field}/${use.table}`;
  });
}

function rowShape({ dim, usage }: EmbeddingUse): readonly number[] {
  return usage.kind === "sequence" ? [usage.length, dim] : [dim];
}

function partsOf(names: readonly string[], shapes: readonly (readonly number[])[]): Part[] {
  let from = 0;
  return names.map((name, i) => {
    const shape = shapes[i]!;
    const floats = floatsOfNumbers({ shape: [...shape] });
    from += floats;
    return { name, from: from - floats, floats, shape };
  });
}

const widthOf = (parts: readonly Part[]): number => parts.reduce((floats, part) => floats + part.floats, 0);

/** The parts of a packed input by name, from one split of it: a split's gradient is one concatenation. */
function cut(packed: tf.Tensor2D, parts: readonly Part[]): Record<string, tf.Tensor> {
  if (parts.length === 0) return {};
  const pieces =
    parts.length === 1
      ? [packed]
      : tf.split(
          packed,
          parts.map(({ floats }) => floats),
          1,
        );
  return Object.fromEntries(
    parts.map(({ name, shape }, i) => [
      name,
      shape.length === 1 ? pieces[i]! : tf.reshape(pieces[i]!, [packed.shape[0], ...shape]),
    ]),
  );
}

/** A tower's input, packed again where something is replaced. */
function joined(
  packed: tf.Tensor2D,
  parts: readonly Part[],
  own: Readonly<Record<string, tf.Tensor>>,
  replaced: Readonly<Record<string, tf.Tensor>> | undefined,
  name: string,
): tf.Tensor2D {
  const odd = Object.keys(replaced ?? {}).find((each) => !parts.some((part) => part.name === each));
  if (odd !== undefined) {
    const known = parts.map((part) => part.name).join(", ") || "none";
    throw new TypeError(`training function "${name}": tower() has no input "${odd}" to replace; it has ${known}`);
  }
  if (!replaced && widthOf(parts) === packed.shape[1]) return packed;
  if (parts.length === 0) return tf.zeros<tf.Rank.R2>([packed.shape[0], 0]);
  const flat = parts.map((part) => tf.reshape<tf.Rank.R2>(replaced?.[part.name] ?? own[part.name]!, [-1, part.floats]));
  return flat.length === 1 ? flat[0]! : tf.concat2d(flat, 1);
}

/** The caller's arrays, which a backend may have kept as they are. */
function givenArrays({ rows, numbers, masks, ...more }: PredictInput | StepInput): Float32Array[] {
  const { label, weight } = more as Partial<StepInput>;
  return [rows, numbers, masks, label, weight].filter((array) => array !== undefined);
}

function flatten(tensor: tf.Tensor): tf.Tensor1D {
  return tf.reshape(tensor, [-1]);
}

function checkLength(what: string, { length }: Float32Array, wanted: number): void {
  if (length !== wanted) throw new RangeError(`${what}: got ${length} floats; the model needs ${wanted}`);
}
