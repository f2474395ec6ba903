/** What computes a job's gradients on this worker: a loss by name, or a training function of a plugin file. */
import type { JobManifest } from "../../job/manifest.ts";
import type { Plugins } from "../../plugin/index.ts";
import type { GradientModel } from "../../training/job/gradient-model.ts";
import { FunctionModel } from "./function-model.ts";
import { trainingFunctionOf } from "./training-function.ts";
import { TrainingModel } from "./training-model.ts";

/**
 * @param plugins what this worker's operator loaded
 * @throws {ClusterError} BAD_JOB: the job's training function is not loaded here, or from a file of other bytes
 * @throws {TypeError} a tower that cannot be built here
 */
export async function openModel(manifest: JobManifest, plugins: Plugins): Promise<GradientModel> {
  const { loss } = manifest.compile;
  if (typeof loss === "string") return TrainingModel.create(manifest);
  return FunctionModel.create({ spec: manifest.model, definition: trainingFunctionOf(plugins, loss) });
}
