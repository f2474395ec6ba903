/** A slot that is computed again must drop the same units, so the seeds of dropouts are made of the samples themselves. */
import type { layers, LayersModel } from "@tensorflow/tfjs-layers";
import { seedFrom } from "../layers/seed-from.ts";

type Dropout = layers.Layer & { seed: number };

/** Floats of each array that a seed is made of. */
const FLOATS = 64;

/** The dropout layers of a model and of the models nested in it. */
export function dropoutsOf(model: LayersModel): Dropout[] {
  return model.layers.flatMap((layer) => {
    if ("layers" in layer) return dropoutsOf(layer as LayersModel);
    return ["Dropout", "SpatialDropout1D"].includes(layer.getClassName()) ? [layer as Dropout] : [];
  });
}

/** @param samples arrays that make up the slot */
export function seedDropouts(dropouts: readonly Dropout[], samples: readonly Float32Array[]): void {
  if (dropouts.length === 0) return;
  const words = samples.map((values) => values.subarray(0, FLOATS).join());
  for (const [i, layer] of dropouts.entries()) layer.seed = seedFrom([i, ...words]);
}
