/**
 * Pools a sequence to one vector by its sum, mean or maximum over the places that count: what tf.layers'
 * globalAveragePooling1d and globalMaxPooling1d do, which take no notice of masks.
 *
 * Shapes: B samples, L places, D floats each.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers, type Shape } from "@tensorflow/tfjs-layers";
import { checkChoice, refuseUnknownKeys } from "./author-error.ts";
import { onlyWhereCounted, sequenceMask, sequenceWidth, weightedSum } from "./sequence-mask.ts";

const POOLING_MODES = ["mean", "sum", "max"] as const;
/**
 * How the places of a sequence become one.
 *
 * @useDeclaredType
 */
export type PoolingMode = (typeof POOLING_MODES)[number];

/** Arguments of {@link sequencePooling}. */
export interface SequencePoolingArgs {
  /** "mean", "sum" or "max" over the places that count. */
  mode: PoolingMode;
  /** The layer's name. */
  name?: string;
}

/**
 * A layer from a sequence [B, L, D] to [B, D]; 0 for a sample without a place that counts. Where places share a
 * maximum they share its gradient.
 *
 * @throws {TypeError} malformed arguments
 * @example const taste = through(history, sequencePooling({ mode: "mean" }));
 */
export function sequencePooling(args: SequencePoolingArgs): VolarySequencePooling {
  refuseUnknownKeys("sequencePooling()", args, ["mode", "name"]);
  return new VolarySequencePooling(args);
}

export class VolarySequencePooling extends layers.Layer {
  static className = "VolarySequencePooling";
  readonly mode: PoolingMode;

  constructor(args: SequencePoolingArgs) {
    super(args);
    checkChoice("sequencePooling(): mode", args.mode, POOLING_MODES);
    this.mode = args.mode;
    this.supportsMasking = true;
  }

  override build(inputShape: Shape | Shape[]): void {
    sequenceWidth("sequencePooling()", inputShape);
    this.built = true;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const D = sequenceWidth("sequencePooling()", inputShape);
    return [(inputShape as Shape)[0] ?? null, D];
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs?: { mask?: unknown }): tf.Tensor {
    const x_BLD = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor3D;
    return tf.tidy(() => pooled(this.mode, x_BLD, sequenceMask(kwargs)));
  }

  /** Nothing of the sequence is left to mask. */
  override computeMask(): tf.Tensor {
    return null as unknown as tf.Tensor;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), mode: this.mode };
  }
}
tf.serialization.registerClass(VolarySequencePooling);

function pooled(mode: PoolingMode, x_BLD: tf.Tensor3D, mask_BL: tf.Tensor2D | undefined): tf.Tensor {
  switch (mode) {
    case "sum":
      return mask_BL ? weightedSum(x_BLD, mask_BL) : tf.sum(x_BLD, 1);
    case "mean":
      return mask_BL ? weightedSum(x_BLD, tf.div(mask_BL, tf.maximum(tf.sum(mask_BL, 1, true), 1))) : tf.mean(x_BLD, 1);
    case "max": {
      if (!mask_BL) return maxOverPlaces(x_BLD);
      const counted = onlyWhereCounted(x_BLD, tf.expandDims(mask_BL, 2)) as tf.Tensor3D;
      return tf.mul(maxOverPlaces(counted), tf.max(mask_BL, 1, true));
    }
    default:
      return mode satisfies never;
  }
}

/** tfjs's own gradient gives each of several places that share the maximum all of it, as if they were one each. */
function maxOverPlaces(x: tf.Tensor3D): tf.Tensor {
  const [B, , D] = x.shape;
  const max = tf.customGrad((x_BLD, save) => {
    const max_B1D = tf.max(x_BLD as tf.Tensor, 1, true);
    (save as tf.GradSaveFunc)([x_BLD as tf.Tensor, max_B1D]);
    return {
      value: tf.reshape(max_B1D, [B, D]),
      gradFunc: (dy, [saved, top]) => {
        const holds_BLD = tf.cast(tf.equal(saved!, top!), "float32");
        return tf.mul(holds_BLD, tf.div(tf.reshape(dy, [B, 1, D]), tf.sum(holds_BLD, 1, true)));
      },
    };
  });
  return max(x);
}
