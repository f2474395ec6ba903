/**
 * Workaround: tfjs's WebGPU backend compiles a shader when it is first used, and the process stands still meanwhile. Where
 * a processor compiles, a first step's shaders take seconds, and longer than a worker may be silent where it is
 * busy, too: 34 took 43 s on SwiftShader on a machine with ten times the work it can do (tfjs 4.22, Node 24, 2 cores,
 * November 2026). Run without computing, the backend compiles them all at once while the process goes on; so that
 * is done before a first step.
 *
 * @see https://github.com/tensorflow/tfjs, `WEBGPU_ENGINE_COMPILE_ONLY` in tfjs-backend-webgpu/src/backend_webgpu.ts: delete
 * this when `runWebGPUProgram` there does not wait for what it compiles.
 */
import * as tf from "@tensorflow/tfjs";
import type { GradientModel } from "@volary/core/training";

interface WebGpuBackend {
  checkCompileCompletionAsync(): Promise<void>;
  /** It would warn of what was not computed. */
  getBufferData?: () => Promise<ArrayBuffer>;
}

const COMPILE_ONLY = "WEBGPU_ENGINE_COMPILE_ONLY";

/**
 * The same model, whose shaders are compiled before they are used. Which ones a step takes depends on the number of
 * samples, so they are looked for again where it has doubled.
 *
 * What happens when a shader cannot be compiled: the step that needs it rejects.
 */
export function compilingAhead(model: GradientModel, compile = compileShaders): GradientModel {
  const compiled = new Set<string>();
  /** Nothing may run meanwhile: a shader that is not ready stops it. */
  let compiling: Promise<void> | undefined;

  const run = async <T>(what: "step" | "predict", samples: number, compute: () => Promise<T>): Promise<T> => {
    while (compiling) await compiling.catch(() => {});
    const shaders = `${what} ${Math.ceil(Math.log2(samples))}`;
    if (samples > 0 && !compiled.has(shaders)) {
      compiling = compile(compute);
      try {
        await compiling;
        compiled.add(shaders);
      } finally {
        compiling = undefined;
      }
    }
    return compute();
  };

  return {
    denseFloats: model.denseFloats,
    setDense: (flat) => model.setDense(flat),
    step: (at) => run("step", at.samples, () => model.step(at)),
    predict: (at) => run("predict", at.samples, () => model.predict(at)),
    dispose: () => model.dispose(),
  };
}

/** Finds out which shaders a computation takes, and compiles them. */
async function compileShaders(compute: () => Promise<unknown>): Promise<void> {
  const backend = tf.backend() as unknown as WebGpuBackend;
  tf.env().set(COMPILE_ONLY, true);
  backend.getBufferData = async () => new ArrayBuffer(0);
  // All that is run and read is so before the first await.
  const nothing = compute();
  delete backend.getBufferData;
  tf.env().set(COMPILE_ONLY, false);
  // What is wrong with nothing is of no interest: if the computation fails, it does so again.
  await nothing.catch(() => {});
  await backend.checkCompileCompletionAsync();
}
