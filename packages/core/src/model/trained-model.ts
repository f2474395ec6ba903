/** A trained model as tfjs knows it, for what is done with it outside of a cluster. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { JobManifest } from "../job/manifest.ts";
import { towerFromManifest } from "./tower/tower.ts";

/**
 * The model of a job without embeddings, with trained weights; its layers are named anew. The caller disposes it.
 *
 * @param dense float32, all variables in order
 * @throws {TypeError} a model with embedding tables, whose rows no tfjs model can hold
 */
export async function trainedModel({ name, model }: JobManifest, dense: Float32Array): Promise<LayersModel> {
  if (model.topology === undefined) throw new TypeError(`job "${name}" has no model of layers`);
  if (model.embeddings.length > 0) {
    const tables = [...new Set(model.embeddings.map(({ table }) => `"${table}"`))].join(", ");
    throw new TypeError(
      `job "${name}" has embedding tables (${tables}), whose rows are not part of a tfjs model; predict with ` +
        `run.predict(…), or save the model and use \`volary predict\``,
    );
  }
  const tower = await towerFromManifest(model);
  let at = 0;
  for (const [i, { shape }] of model.variables.entries()) {
    const size = shape.reduce((a, b) => a * b, 1);
    tf.tidy(() => {
      tower.weights[i]!.write(tf.tensor(dense.slice(at, at + size), [...shape]));
    });
    at += size;
  }
  return tower;
}
