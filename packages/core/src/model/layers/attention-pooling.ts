/**
 * Pools a sequence to one vector, weighing its places by how well they answer a query: one the model learns (Yang et
 * al., NAACL 2016, §2.2) or one of the sample, as the candidate item against the user's history (Zhou et al., KDD 2018,
 * Deep Interest Network). Without `units`, a place's score is its scaled dot product with the query (Vaswani et al.,
 * NeurIPS 2017, §3.2.1); with `units`, a hidden layer's.
 *
 * Shapes: B samples, L places, D floats each, H hidden units.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers, type LayerVariable, type Shape } from "@tensorflow/tfjs-layers";
import { LIMITS } from "../../limits.ts";
import { checkChoice, checkInteger, refuseUnknownKeys } from "./author-error.ts";
import { onlyWhereCounted, sequenceMask, sequenceWidth, weightedSum } from "./sequence-mask.ts";
import {
  forWeight,
  weightInitializerFrom,
  weightInitializerJson,
  type WeightInitializer,
  type WeightInitializerArg,
} from "./weight-initializer.ts";

const QUERIES = ["learned", "input"] as const;
/**
 * Where the query comes from: a weight of the layer, or its second input.
 *
 * @useDeclaredType
 */
export type AttentionQuery = (typeof QUERIES)[number];

const ACTIVATIONS = {
  linear: (x: tf.Tensor) => x,
  relu: (x: tf.Tensor) => tf.relu(x),
  sigmoid: (x: tf.Tensor) => tf.sigmoid(x),
  tanh: (x: tf.Tensor) => tf.tanh(x),
};
/**
 * Of the hidden layer of scores.
 *
 * @useDeclaredType
 */
export type AttentionActivation = keyof typeof ACTIVATIONS;

/** Arguments of {@link attentionPooling}. */
export interface AttentionPoolingArgs {
  /** A hidden layer of this many units gives the scores; without it, the dot product. */
  units?: number;
  /** Of the hidden layer; "tanh" by default. */
  activation?: AttentionActivation;
  /** `"learned"` by default: a weight of the layer. `"input"`: the layer is applied to [sequence, query]. */
  query?: AttentionQuery;
  /** Of all weights but the bias, which begins at 0; "glorotNormal" by default. */
  kernelInitializer?: WeightInitializerArg;
  /** The layer's name. */
  name?: string;
}

/**
 * A layer from a sequence [B, L, D], or a sequence and a query [B, D], to Σₗ softmax(score)ₗ xₗ, [B, D]. Places that the
 * sequence's mask leaves out weigh nothing; a sample without any other gives 0.
 *
 * | query | without units | with units |
 * |---|---|---|
 * | learned | x · w / √D | vᵀ act(W x + b) |
 * | input | x · q / √D | vᵀ act(W [q, x, q ⊙ x] + b) |
 *
 * @throws {RangeError} `units` that is no count
 * @throws {TypeError} anything else that is malformed
 * @example const taste = through([history, item], attentionPooling({ query: "input", units: 36 }));
 */
export function attentionPooling(args: AttentionPoolingArgs = {}): VolaryAttentionPooling {
  refuseUnknownKeys("attentionPooling()", args, ["units", "activation", "query", "kernelInitializer", "name"]);
  return new VolaryAttentionPooling(args);
}

/** The query that is learned, [D, 1]; or the hidden layer, [D or 3D, H] and [H], and what scores its units, [H, 1]. */
type AttentionWeights =
  | { kind: "none" }
  | { kind: "query"; query: LayerVariable }
  | { kind: "hidden"; kernel: LayerVariable; bias: LayerVariable; score: LayerVariable };

export class VolaryAttentionPooling extends layers.Layer {
  static className = "VolaryAttentionPooling";
  readonly units: number | undefined;
  readonly activation: AttentionActivation | undefined;
  readonly query: AttentionQuery;
  readonly #kernelInitializer: WeightInitializer;
  #learned: AttentionWeights = { kind: "none" };

  constructor(args: AttentionPoolingArgs) {
    super(args);
    this.units = args.units;
    this.query = args.query ?? "learned";
    checkChoice("attentionPooling(): query", this.query, QUERIES);
    if (this.units !== undefined) {
      checkInteger("attentionPooling(): units", this.units, { min: 1, max: LIMITS.dimMax, usual: 36 });
      this.activation = args.activation ?? "tanh";
      const known = Object.keys(ACTIVATIONS) as AttentionActivation[];
      checkChoice("attentionPooling(): activation", this.activation, known);
    } else if (args.activation !== undefined) {
      throw new TypeError(
        `attentionPooling(): activation is ${JSON.stringify(args.activation)}, of a hidden layer that is not there; ` +
          `give it units, as units: 36, or leave the activation out`,
      );
    }
    this.#kernelInitializer = weightInitializerFrom(
      "attentionPooling(): kernelInitializer",
      args.kernelInitializer ?? "glorotNormal",
    );
    this.supportsMasking = true;
  }

  override build(inputShape: Shape | Shape[]): void {
    const D = this.#widthOf(inputShape);
    const weight = (name: string, shape: Shape): LayerVariable =>
      this.addWeight(name, shape, "float32", forWeight(this.#kernelInitializer, name));
    if (this.units !== undefined) {
      this.#learned = {
        kind: "hidden",
        kernel: weight("kernel", [this.query === "input" ? 3 * D : D, this.units]),
        bias: this.addWeight("bias", [this.units], "float32", weightInitializerFrom("bias", "zeros")),
        score: weight("score_kernel", [this.units, 1]),
      };
    } else if (this.query === "learned") {
      this.#learned = { kind: "query", query: weight("query", [D, 1]) };
    }
    this.built = true;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const D = this.#widthOf(inputShape);
    const [batch] = (this.query === "input" ? inputShape[0] : inputShape) as Shape;
    return [batch ?? null, D];
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs?: { mask?: unknown }): tf.Tensor {
    const [x_BLD, query_BD] = (Array.isArray(inputs) ? inputs : [inputs]) as [tf.Tensor3D, tf.Tensor2D?];
    return tf.tidy(() => {
      const weights_BL = maskedSoftmax(this.#scores(x_BLD, query_BD), sequenceMask(kwargs));
      return weightedSum(x_BLD, weights_BL);
    });
  }

  /** Nothing of the sequence is left to mask. */
  override computeMask(): tf.Tensor {
    return null as unknown as tf.Tensor;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {
      ...super.getConfig(),
      query: this.query,
      ...(this.units !== undefined && { units: this.units, activation: this.activation! }),
      kernelInitializer: weightInitializerJson(this.#kernelInitializer),
    };
  }

  /** Shape [B, L]. */
  #scores(x_BLD: tf.Tensor3D, query_BD: tf.Tensor2D | undefined): tf.Tensor2D {
    const [B, L, D] = x_BLD.shape;
    const learned = this.#learned;
    switch (learned.kind) {
      case "none": {
        const dots = tf.matMul(x_BLD, tf.reshape(query_BD!, [B, D, 1]));
        return tf.mul(tf.reshape(dots, [B, L]), 1 / Math.sqrt(D));
      }
      case "query": {
        const dots = tf.matMul(tf.reshape(x_BLD, [B * L, D]), learned.query.read());
        return tf.mul(tf.reshape(dots, [B, L]), 1 / Math.sqrt(D));
      }
      case "hidden": {
        const kernel = learned.kernel.read() as tf.Tensor2D;
        const mapped = query_BD ? mapWithQuery(x_BLD, query_BD, kernel) : mapPlaces(x_BLD, kernel);
        const hidden = ACTIVATIONS[this.activation!](tf.add(mapped, learned.bias.read()));
        const H = kernel.shape[1];
        return tf.reshape(tf.matMul(tf.reshape(hidden, [B * L, H]), learned.score.read() as tf.Tensor2D), [B, L]);
      }
      default:
        return learned satisfies never;
    }
  }

  /** D of the inputs. @throws {TypeError} */
  #widthOf(shapes: Shape | Shape[]): number {
    if (this.query === "learned") return sequenceWidth("attentionPooling()", shapes);
    const [sequence, query, ...more] = Array.isArray(shapes[0]) ? (shapes as Shape[]) : [];
    if (sequence && query && more.length === 0) {
      const D = sequenceWidth("attentionPooling()", sequence);
      if (query.length === 2 && query[1] === D) return D;
    }
    throw new TypeError(
      `attentionPooling({ query: "input" }): got shape ${JSON.stringify(shapes)}; apply it to a sequence [null,L,D] and ` +
        `a query [null,D] of the same width, as through([history, item], attentionPooling({ query: "input" }))`,
    );
  }
}
tf.serialization.registerClass(VolaryAttentionPooling);

/** W x of every place, shape [B, L, H]. */
function mapPlaces(x_BLD: tf.Tensor3D, kernel_DH: tf.Tensor2D): tf.Tensor {
  const [B, L, D] = x_BLD.shape;
  return tf.reshape(tf.matMul(tf.reshape(x_BLD, [B * L, D]), kernel_DH), [B, L, kernel_DH.shape[1]]);
}

/**
 * W [q, x, q ⊙ x], shape [B, L, H]; the query's part once for all places. The difference q − x, which DIN's code adds
 * to these, is a linear map of the first two and so gives nothing that W cannot.
 */
function mapWithQuery(x_BLD: tf.Tensor3D, query_BD: tf.Tensor2D, kernel: tf.Tensor2D): tf.Tensor {
  const [B, , D] = x_BLD.shape;
  const H = kernel.shape[1];
  const ofQuery = tf.matMul(query_BD, tf.slice2d(kernel, [0, 0], [D, H]));
  const products_BLD = tf.mul(x_BLD, tf.reshape(query_BD, [B, 1, D]));
  const ofPlaces = mapPlaces(
    tf.concat3d([x_BLD, products_BLD as tf.Tensor3D], 2),
    tf.slice2d(kernel, [D, 0], [2 * D, H]),
  );
  return tf.add(ofPlaces, tf.reshape(ofQuery, [B, 1, H]));
}

/** Softmax over the places that count, shape [B, L]; 0 everywhere else, so a sample without any sums to 0. */
function maskedSoftmax(scores_BL: tf.Tensor2D, mask_BL: tf.Tensor2D | undefined): tf.Tensor2D {
  if (!mask_BL) return tf.softmax(scores_BL);
  return tf.mul(tf.softmax(onlyWhereCounted(scores_BL, mask_BL) as tf.Tensor2D), mask_BL);
}
