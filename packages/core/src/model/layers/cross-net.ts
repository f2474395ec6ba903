/**
 * The cross network of DCN-v2 (Wang et al., WWW 2021, arXiv:2008.13535, §3.1 and §3.3): each layer multiplies the
 * input with a linear map of what came before, so n of them give products of up to n + 1 features, as an explicit
 * polynomial. The low-rank form holds the map as U Vᵀ.
 *
 * Shapes: B samples, D features, R rank.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers, type LayerVariable, type Shape } from "@tensorflow/tfjs-layers";
import { LIMITS } from "../../limits.ts";
import { checkInteger, refuseUnknownKeys } from "./author-error.ts";
import {
  forWeight,
  weightInitializerFrom,
  weightInitializerJson,
  type WeightInitializer,
  type WeightInitializerArg,
} from "./weight-initializer.ts";

/** Arguments of {@link crossNet}. */
export interface CrossNetArgs {
  /** How many cross layers follow one another; the paper uses 2 to 4. */
  layers: number;
  /** Holds each map as U Vᵀ of this rank, which is cheaper below half the width; the whole matrix without it. */
  rank?: number;
  /** Of the maps; "glorotNormal" by default, as a dense layer's. */
  kernelInitializer?: WeightInitializerArg;
  /** "zeros" by default. */
  biasInitializer?: WeightInitializerArg;
  /** The layer's name. */
  name?: string;
}

/**
 * A layer from features [B, D] to features crossed with one another, [B, D]:
 * x₍ₗ₊₁₎ = x₀ ⊙ (W xₗ + b) + xₗ, and U(Vᵀ xₗ) in place of W xₗ with a rank.
 *
 * @throws {RangeError} `layers` or `rank` that is no count
 * @throws {TypeError} anything else that is malformed
 * @example const crossed = through(rows, tf.layers.concatenate(), crossNet({ layers: 3 }));
 */
export function crossNet(args: CrossNetArgs): VolaryCrossNet {
  refuseUnknownKeys("crossNet()", args, ["layers", "rank", "kernelInitializer", "biasInitializer", "name"]);
  return new VolaryCrossNet(args);
}

const DEPTH_MAX = 100;

/** The map of one cross layer: a kernel [D, D], or two of them, V [D, R] and then Uᵀ [R, D]; and its bias [D]. */
interface CrossWeights {
  kernels: LayerVariable[];
  bias: LayerVariable;
}

export class VolaryCrossNet extends layers.Layer {
  static className = "VolaryCrossNet";
  /** Cross layers; not `layers`, by which tfjs's models are known. */
  readonly depth: number;
  /** Undefined where the maps are whole matrices. */
  readonly rank: number | undefined;
  readonly #kernelInitializer: WeightInitializer;
  readonly #biasInitializer: WeightInitializer;
  #cross: readonly CrossWeights[] = [];

  constructor(args: CrossNetArgs) {
    super(args);
    checkInteger("crossNet(): layers", args.layers, { min: 1, max: DEPTH_MAX, usual: 3 });
    this.depth = args.layers;
    this.rank = args.rank;
    if (this.rank !== undefined) checkInteger("crossNet(): rank", this.rank, { min: 1, max: LIMITS.dimMax, usual: 16 });
    this.#kernelInitializer = weightInitializerFrom(
      "crossNet(): kernelInitializer",
      args.kernelInitializer ?? "glorotNormal",
    );
    this.#biasInitializer = weightInitializerFrom("crossNet(): biasInitializer", args.biasInitializer ?? "zeros");
  }

  override build(inputShape: Shape | Shape[]): void {
    const D = widthOf(inputShape);
    const { rank } = this;
    if (rank !== undefined && rank > D) {
      throw new RangeError(`crossNet(): rank is ${rank} of ${D} features; leave it out for the whole matrix`);
    }
    const weight = (name: string, shape: Shape, initializer: WeightInitializer): LayerVariable =>
      this.addWeight(name, shape, "float32", forWeight(initializer, name));
    this.#cross = Array.from({ length: this.depth }, (_, l) => ({
      kernels:
        rank === undefined
          ? [weight(`kernel_${l}`, [D, D], this.#kernelInitializer)]
          : [
              weight(`v_${l}`, [D, rank], this.#kernelInitializer),
              weight(`u_${l}`, [rank, D], this.#kernelInitializer),
            ],
      bias: weight(`bias_${l}`, [D], this.#biasInitializer),
    }));
    this.built = true;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const D = widthOf(inputShape);
    return [(inputShape as Shape)[0] ?? null, D];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const x0_BD = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor2D;
    return tf.tidy(() => {
      let x_BD = x0_BD;
      for (const { kernels, bias } of this.#cross) {
        const mapped = kernels.reduce((x, kernel) => tf.matMul(x, kernel.read() as tf.Tensor2D), x_BD);
        x_BD = tf.add(tf.mul(x0_BD, tf.add(mapped, bias.read())), x_BD);
      }
      return x_BD;
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {
      ...super.getConfig(),
      layers: this.depth,
      ...(this.rank !== undefined && { rank: this.rank }),
      kernelInitializer: weightInitializerJson(this.#kernelInitializer),
      biasInitializer: weightInitializerJson(this.#biasInitializer),
    };
  }
}
tf.serialization.registerClass(VolaryCrossNet);

/** D of the input. @throws {TypeError} */
function widthOf(shape: Shape | Shape[]): number {
  const D = shape.length === 2 ? shape[1] : undefined;
  if (typeof D === "number") return D;
  throw new TypeError(
    `crossNet(): got shape ${JSON.stringify(shape)}; apply it to one tensor [null,D], ` +
      `as through(rows, tf.layers.concatenate(), crossNet({ layers: 3 }))`,
  );
}
