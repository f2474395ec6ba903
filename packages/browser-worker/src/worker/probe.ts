/**
 * Which device computes, found by one real step of the job on each that may be the fastest: what a benchmark of
 * something else promises, a small model does not keep. A device whose loss is not that of the next one computes wrongly.
 *
 * Shapes: B samples, E floats of their rows, N of their numbers, M of their masks, L of their label.
 */
import { floatsOfNumbers, floatsOfUse, maskedPlacesOfUse, type JobManifest } from "@volary/core/job";
import type { GradientModel, StepInput } from "@volary/core/training";
import type { OpenDevice } from "../device/device.ts";

/** Of each size, the first step compiles what the device runs, and the second is measured. */
const SAMPLES = [32, 256] as const;
/** A device that takes so long for the first size is not asked for the second. */
const SLOW_MS = 250;
const LOSS_DIFFERENCE_MAX = 1e-3;
const WEIGHT_MAX = 0.1;

export interface Probe {
  device: OpenDevice;
  samples: number;
  computeMs: number;
}

export interface ProbeOptions {
  manifest: JobManifest;
  now: () => number;
  log: (message: string) => void;
  /** Opens the model on the device that was opened last. */
  openModel: (manifest: JobManifest) => Promise<GradientModel>;
}

/**
 * Takes a step of each size on the device that was opened last.
 *
 * @throws {Error} gradients that are not finite, or what the device fails with
 */
export async function probe(device: OpenDevice, o: ProbeOptions): Promise<Probe & { loss: number }> {
  const model = await o.openModel(o.manifest);
  try {
    model.setDense(valuesUpTo(WEIGHT_MAX, model.denseFloats));
    let best = await measured(model, SAMPLES[0], o);
    if (best.computeMs < SLOW_MS) best = await measured(model, SAMPLES[1], o);
    const lost = device.lost();
    if (lost !== undefined) throw new Error(lost);
    return { device, ...best };
  } finally {
    model.dispose();
  }
}

async function measured(model: GradientModel, samples: number, { manifest, now }: ProbeOptions) {
  const input = probeInput(manifest, samples);
  await model.step(input);
  const from = now();
  const { rowGrads, denseGrads, lossSum } = await model.step(input);
  const computeMs = now() - from;
  const isFinite = [lossSum, ...rowGrads.subarray(0, LOOKED_AT), ...denseGrads.subarray(0, LOOKED_AT)].every(
    Number.isFinite,
  );
  if (!isFinite) throw new Error(`its gradients of ${samples} samples are not finite`);
  return { samples, computeMs, loss: lossSum / samples };
}

/** Gradients of each kind: one that is not finite soon has company. */
const LOOKED_AT = 1_000;

/**
 * The fastest of the devices that were probed, in order of how much they promise: each is believed only where its loss
 * is that of the last one, which is the simplest.
 */
export function fastestOf(
  probes: readonly (Probe & { loss: number })[],
  log: (message: string) => void = () => {},
): Probe | undefined {
  const judge = probes.at(-1);
  if (!judge) return undefined;
  const right = probes.filter(({ device, loss }) => {
    const difference = Math.abs(loss - judge.loss) / Math.max(Math.abs(judge.loss), Number.MIN_VALUE);
    if (difference <= LOSS_DIFFERENCE_MAX) return true;
    log(`${device.name} is not used: its loss is ${loss}, and that of ${judge.device.name} is ${judge.loss}`);
    return false;
  });
  const msPerSample = ({ computeMs, samples }: Probe) => computeMs / samples;
  return right.reduce((best, each) => (msPerSample(each) < msPerSample(best) ? each : best));
}

/** A step of a job's shapes, of values that are the same everywhere. */
export function probeInput({ model, compile }: JobManifest, samples: number): StepInput {
  const sum = <T>(uses: readonly T[], floatsOf: (use: T) => number) =>
    uses.reduce((floats, use) => floats + floatsOf(use), 0);
  const E = sum(model.embeddings, floatsOfUse);
  const N = sum(model.numbers, floatsOfNumbers);
  const M = sum(model.embeddings, maskedPlacesOfUse);
  return {
    samples,
    globalSamples: samples,
    rows: valuesUpTo(WEIGHT_MAX, samples * E),
    numbers: valuesUpTo(1, samples * N),
    ...(M > 0 ? { masks: new Float32Array(samples * M).fill(1) } : {}),
    label: labelsOf({ model, compile }, samples),
  };
}

function labelsOf({ model: { outputs }, compile: { loss } }: Pick<JobManifest, "model" | "compile">, samples: number) {
  const isClass = loss === "sparseCategoricalCrossentropy" || loss === "bpr" || loss === "sampledSoftmax";
  if (isClass || outputs === 1) return Float32Array.from({ length: samples }, (_, b) => b % 2);
  return Float32Array.from({ length: samples * outputs }, (_, i) =>
    i % outputs === Math.floor(i / outputs) % outputs ? 1 : 0,
  );
}

/** Looks random, and needs no generator: the fractions of multiples of the golden ratio, spread over ±bound. */
function valuesUpTo(bound: number, length: number): Float32Array {
  const golden = (Math.sqrt(5) - 1) / 2;
  return Float32Array.from({ length }, (_, i) => bound * (2 * ((i * golden) % 1) - 1));
}
