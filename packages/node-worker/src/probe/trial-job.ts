/**
 * What is computed to try a device: a training step of a job, with values that every process draws alike, so that the
 * gradients of two devices can be compared.
 *
 * Shapes: B samples, E floats of a sample's rows, N floats of its numbers, M places of its masked sequences, L floats of
 * its label.
 */
import { floatsOfNumbers, floatsOfUse, maskedPlacesOfUse, type JobManifest } from "@volary/core/job";
import type { VariableSlice } from "@volary/core/model";
import type { StepInput } from "@volary/core/training";

/** The parts of a job manifest that a worker's step depends on, and how many samples it has. */
export interface TrialJob {
  samples: number;
  model: JobManifest["model"];
  compile: Pick<JobManifest["compile"], "loss">;
  fit: Pick<JobManifest["fit"], "classWeight">;
}

/** A step's inputs: rows and numbers between −1 and 1, labels that suit the loss, every seventh place masked. */
export function trialInput({ model, compile }: TrialJob, samples: number): StepInput {
  const sum = <T>(uses: readonly T[], floatsOf: (use: T) => number): number =>
    uses.reduce((floats, use) => floats + floatsOf(use), 0);
  const masked = sum(model.embeddings, maskedPlacesOfUse);
  return {
    rows: noise(samples * sum(model.embeddings, floatsOfUse), 1),
    numbers: noise(samples * sum(model.numbers, floatsOfNumbers), 2),
    masks: masked === 0 ? undefined : Float32Array.from({ length: samples * masked }, (_, i) => (i % 7 === 6 ? 0 : 1)),
    label: labels(compile.loss, { samples, outputs: model.outputs }),
    samples,
    globalSamples: samples,
  };
}

/** Dense weights about as large as initializers draw them; those of one dimension, variances among them, are positive. */
export function trialWeights(variables: readonly Pick<VariableSlice, "shape" | "size">[]): Float32Array {
  const parts = variables.map(({ shape, size }, i) => {
    if (shape.length < 2) return noise(size, 3 + i).map((value) => 0.5 + value / 4);
    const scale = 1 / Math.sqrt(size / shape.at(-1)!);
    return noise(size, 3 + i).map((value) => scale * value);
  });
  const flat = new Float32Array(parts.reduce((floats, { length }) => floats + length, 0));
  let at = 0;
  for (const part of parts) {
    flat.set(part, at);
    at += part.length;
  }
  return flat;
}

function labels(
  loss: JobManifest["compile"]["loss"],
  { samples, outputs }: { samples: number; outputs: number },
): Float32Array {
  switch (loss) {
    case "sparseCategoricalCrossentropy":
      return Float32Array.from({ length: samples }, (_, b) => b % outputs);
    case "categoricalCrossentropy":
      return Float32Array.from({ length: samples * outputs }, (_, i) =>
        i % outputs === Math.floor(i / outputs) % outputs ? 1 : 0,
      );
    default:
      return Float32Array.from({ length: samples * outputs }, (_, i) => i % 2);
  }
}

/** Numbers in [−1, 1) without a pattern, a function of their place and the seed: Steele and Vigna's SplitMix, in 32 bits. */
function noise(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    let z = Math.imul(i + 1, 0x9e3779b9) + Math.imul(seed, 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 31 - 1;
  });
}
