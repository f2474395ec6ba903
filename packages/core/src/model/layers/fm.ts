/**
 * The second-order interaction of a factorization machine (Rendle, ICDM 2010, lemma 3.1): every pair of embeddings
 * by dot product, in time linear in their number.
 *
 * Shapes: B samples, F embeddings of dim D, packed side by side [B, F × D].
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

type Shape = (number | null)[];

/**
 * A layer from F embeddings of one width, [B, D] each, to the sum of their pairwise dot products, [B, 1].
 *
 * @example const pairs = through(rows, fm());
 */
export function fm(): VolaryFm {
  return new VolaryFm({});
}

export class VolaryFm extends layers.Layer {
  static className = "VolaryFm";

  override build(inputShape: Shape | Shape[]): void {
    widthOf(inputShape);
    this.built = true;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    widthOf(inputShape);
    return [(inputShape[0] as Shape)[0] ?? null, 1];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const rows = (Array.isArray(inputs) ? inputs : [inputs]) as tf.Tensor2D[];
    return tf.tidy(() => pairInteractions(tf.concat2d(rows, 1), rows[0]!.shape[1]));
  }
}
tf.serialization.registerClass(VolaryFm);

/** The common width D of the inputs. @throws {TypeError} */
function widthOf(shapes: Shape | Shape[]): number {
  if (!Array.isArray(shapes[0]) || shapes.length < 2) {
    throw new TypeError("fm(): apply it to two or more embeddings, as through([a, b, c], fm())");
  }
  const rows = shapes as Shape[];
  const D = rows[0]![1];
  const odd = rows.find((shape) => shape.length !== 2 || shape[1] !== D);
  if (odd)
    throw new TypeError(
      `fm(): embeddings must have one width; got shapes ${JSON.stringify(rows[0])} and ${JSON.stringify(odd)}`,
    );
  return D!;
}

/**
 * ½ Σ_d ((Σ_f v)² − Σ_f v²) of packed embeddings, shape [B, 1].
 *
 * Its gradient, Σ_f v − v, is written out: tfjs would go through the squares once more, on every backend.
 */
export function pairInteractions(packed: tf.Tensor2D, D: number): tf.Tensor2D {
  const [B, E] = packed.shape;
  const interactions = tf.customGrad((x, save) => {
    const v_BFD = tf.reshape(x as tf.Tensor, [B, E / D, D]);
    const sum_BD = tf.sum(v_BFD, 1);
    (save as tf.GradSaveFunc)([v_BFD, sum_BD]);
    const ofSums = tf.sum(tf.square(sum_BD), 1, true);
    const ofSquares = tf.sum(tf.square(x as tf.Tensor), 1, true);
    return {
      value: tf.mul(tf.sub(ofSums, ofSquares), 0.5),
      gradFunc: (dy, [v, sum]) => {
        const others_BFD = tf.sub(tf.reshape(sum!, [B, 1, D]), v!);
        return tf.reshape(tf.mul(others_BFD, tf.reshape(dy, [B, 1, 1])), [B, E]);
      },
    };
  });
  return interactions(packed) as tf.Tensor2D;
}
