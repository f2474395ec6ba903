/** For tests: parts of plain tfjs models with embeddings, and the job that one becomes. */
import * as tfl from "@tensorflow/tfjs-layers";
import { column, file, parquet } from "../data/index.ts";
import { sgd } from "../optimizer/index.ts";
import { manifestOfModel, type PreparedJob } from "./job-manifest.ts";

const { layers } = tfl;
/** Of the job's plain gradient descent. */
export const RATE = 0.05;

export async function jobOf(model: tfl.LayersModel): Promise<PreparedJob> {
  const fields = Object.fromEntries(model.inputs.map(({ sourceLayer: { name } }) => [name, name]));
  const data = parquet(file("data.parquet"), { fields, label: column("label") });
  const compile = {
    optimizer: "sgd",
    sparseOptimizer: sgd({ learningRate: RATE }),
    loss: "binaryCrossentropy",
  } as const;
  return manifestOfModel(model, { name: "converted", data, compile, fit: { batchSize: 8 } }, { workersMin: 1 });
}

export const ids = (name: string, shape: number[] = [1]) => tfl.input({ name, shape, dtype: "int32" });
export const sigmoid = () =>
  layers.dense({ units: 1, activation: "sigmoid", kernelInitializer: tfl.initializers.glorotNormal({ seed: 5 }) });
export const plain = (
  inputDim: number,
  outputDim: number,
  options: Partial<Parameters<typeof layers.embedding>[0]> = {},
) =>
  layers.embedding({
    inputDim,
    outputDim,
    embeddingsInitializer: tfl.initializers.randomUniform({ minval: -0.5, maxval: 0.5, seed: 3 }),
    ...options,
  });
