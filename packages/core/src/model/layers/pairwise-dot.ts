/**
 * The interaction of DLRM (Naumov et al. 2019, arXiv:1906.00091, §2.1): the dot product of every pair of embeddings,
 * each a feature of its own. `fm()` gives their sum.
 *
 * Shapes: B samples, F embeddings of dim D, P pairs of them; ordered (0,1), (0,2) … (1,2) …, the upper triangle of the
 * [F, F] products row by row.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers, type Shape } from "@tensorflow/tfjs-layers";
import { checkChoice, refuseUnknownKeys } from "./author-error.ts";

/** Arguments of {@link pairwiseDot}. */
export interface PairwiseDotArgs {
  /** Do embeddings meet themselves too? `"without"` by default, which gives F(F−1)/2 pairs; `"with"`, F(F+1)/2. */
  self?: SelfPairs;
  /** The layer's name. */
  name?: string;
}

const SELF_PAIRS = ["without", "with"] as const;
/**
 * Do embeddings meet themselves too?
 *
 * @useDeclaredType
 */
export type SelfPairs = (typeof SELF_PAIRS)[number];

/**
 * A layer from F embeddings of one width, [B, D] each or together [B, F, D], to the dot products of their pairs, [B, P].
 *
 * @throws {TypeError} malformed arguments
 * @example const pairs = through([...rows, dense], pairwiseDot());
 */
export function pairwiseDot(args: PairwiseDotArgs = {}): VolaryPairwiseDot {
  refuseUnknownKeys("pairwiseDot()", args, ["self", "name"]);
  return new VolaryPairwiseDot(args);
}

export class VolaryPairwiseDot extends layers.Layer {
  static className = "VolaryPairwiseDot";
  readonly self: SelfPairs;
  #pairs: PairPlaces | undefined;

  constructor(args: PairwiseDotArgs) {
    super(args);
    this.self = args.self ?? "without";
    checkChoice("pairwiseDot(): self", this.self, SELF_PAIRS);
  }

  override build(inputShape: Shape | Shape[]): void {
    this.#pairs = pairPlaces(embeddingsOf(inputShape, this.self), this.self);
    this.built = true;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const F = embeddingsOf(inputShape, this.self);
    const [batch] = isOneShape(inputShape) ? inputShape : inputShape[0]!;
    return [batch ?? null, pairsOf(F, this.self)];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const tensors = Array.isArray(inputs) ? inputs : [inputs];
    return tf.tidy(() => pairDots(together(tensors), this.#pairs!));
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), self: this.self };
  }
}
tf.serialization.registerClass(VolaryPairwiseDot);

/** The embeddings as one tensor, [B, F, D]. */
function together(tensors: tf.Tensor[]): tf.Tensor3D {
  const [first] = tensors as [tf.Tensor];
  if (first.rank === 3) return first as tf.Tensor3D;
  const [B, D] = first.shape as [number, number];
  return tf.reshape(tf.concat2d(tensors as tf.Tensor2D[], 1), [B, tensors.length, D]);
}

/**
 * The products of `pairs` of v [B, F, D], shape [B, P].
 *
 * Its gradient is written out, because tfjs sums a gather's gradient with a kernel that the wasm backend lacks. Each
 * pair stands at one or two places of [F, F], so that gradient is a gather as well: (G + Gᵀ) v.
 */
function pairDots(v: tf.Tensor3D, pairs: PairPlaces): tf.Tensor2D {
  const [B, F] = v.shape;
  const dots = tf.customGrad((v_BFD, save) => {
    (save as tf.GradSaveFunc)([v_BFD as tf.Tensor]);
    const products = tf.matMul(v_BFD as tf.Tensor3D, v_BFD as tf.Tensor3D, false, true);
    return {
      value: tf.gather(tf.reshape(products, [B, F * F]), tf.tensor1d(pairs.upper, "int32"), 1),
      gradFunc: (dy, [saved]) => {
        // What stands on the diagonal: nothing, or v·v, whose derivative is 2v.
        const onDiagonal = pairs.self === "with" ? tf.mul(dy, 2) : tf.zeros([B, 1]);
        const places = tf.gather(
          tf.concat2d([dy as tf.Tensor2D, onDiagonal as tf.Tensor2D], 1),
          tf.tensor1d(pairs.pairAt, "int32"),
          1,
        );
        return tf.matMul(tf.reshape(places, [B, F, F]), saved as tf.Tensor3D);
      },
    };
  });
  return dots(v) as tf.Tensor2D;
}

/** Where the pairs of F embeddings stand in their [F, F] products. */
export interface PairPlaces {
  self: SelfPairs;
  /** The place of each pair in the upper triangle, shape [P]. */
  upper: Int32Array;
  /** The pair of each place, shape [F × F]; on the diagonal P and on, a pair's own column being the p-th after it. */
  pairAt: Int32Array;
}

export function pairPlaces(F: number, self: SelfPairs): PairPlaces {
  const P = pairsOf(F, self);
  const places: PairPlaces = { self, upper: new Int32Array(P), pairAt: new Int32Array(F * F).fill(P) };
  let pair = 0;
  for (let f = 0; f < F; f++) {
    for (let g = self === "with" ? f : f + 1; g < F; g++, pair++) {
      places.upper[pair] = f * F + g;
      places.pairAt[f * F + g] = places.pairAt[g * F + f] = f === g ? P + pair : pair;
    }
  }
  return places;
}

/** P. */
function pairsOf(F: number, self: SelfPairs): number {
  return (F * (self === "with" ? F + 1 : F - 1)) / 2;
}

function isOneShape(shapes: Shape | Shape[]): shapes is Shape {
  return !Array.isArray(shapes[0]);
}

/** F of the inputs. @throws {TypeError} inputs that are no embeddings of one width */
function embeddingsOf(shapes: Shape | Shape[], self: SelfPairs): number {
  const FEW = self === "with" ? 1 : 2;
  const remedy = `apply it to ${FEW} or more embeddings [null,D], as through([a, b, c], pairwiseDot()), or to one tensor [null,F,D]`;
  if (isOneShape(shapes)) {
    const F = shapes[1];
    if (shapes.length === 3 && typeof F === "number" && F >= FEW && typeof shapes[2] === "number") return F;
    throw new TypeError(`pairwiseDot(): got shape ${JSON.stringify(shapes)}; ${remedy}`);
  }
  const D = shapes[0]![1];
  const odd = shapes.find((shape) => shape.length !== 2 || shape[1] !== D);
  if (odd) {
    throw new TypeError(
      `pairwiseDot(): embeddings must have one width; got shapes ${JSON.stringify(shapes[0])} and ${JSON.stringify(odd)}`,
    );
  }
  return shapes.length;
}
