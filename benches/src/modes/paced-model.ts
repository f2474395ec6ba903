/**
 * A model that takes its time by waiting, so that some workers are slow on a machine that is not busy; it notes when it
 * computed, and can write each visit of a sample into a ledger.
 */
import { realClock } from "@volary/node-worker";
import type { GradientModel, StepGradients, StepInput } from "@volary/core/training";

/** Milliseconds that step number `step` of a worker's job takes, from 1, where its slice has `sliceSamples`. */
export type PaceMs = (step: number) => number;

/** When a worker computed, on the real clock, in milliseconds. */
export interface Computed {
  from: number;
  to: number;
}

/** One for all jobs of a worker; whoever runs the next job changes it before. */
export interface Pacing {
  paceMs: PaceMs;
  /** A slice of fewer samples takes as much less time. */
  sliceSamples: number;
  /** Of the job under way, in order; the last one ends at Infinity while the worker computes. */
  readonly computed: Computed[];
  /**
   * What becomes of the gradient of the first float of each sample's rows: it stays; or it says that the sample was
   * here; or so for all, and for one sample of the job twice, which a check must notice.
   */
  ledger: "none" | "once" | "one-twice";
}

export function unpaced(): Pacing {
  return { paceMs: () => 0, sliceSamples: 1, computed: [], ledger: "none" };
}

export function pacedModel(model: GradientModel, pacing: Pacing): GradientModel {
  let step = 0;
  return {
    denseFloats: model.denseFloats,
    setDense: (flat) => model.setDense(flat),
    predict: (at) => model.predict(at),
    dispose: () => model.dispose(),
    step: async (at) => {
      const span: Computed = { from: realClock.now(), to: Infinity };
      pacing.computed.push(span);
      step++;
      const gradients = await model.step(at);
      if (pacing.ledger !== "none") noteVisits(gradients, at);
      if (pacing.ledger === "one-twice" && step === 1) gradients.rowGrads[0]! *= 2;
      const wholeMs = (pacing.paceMs(step) * at.samples) / pacing.sliceSamples;
      await waited(span.from + wholeMs - realClock.now());
      span.to = realClock.now();
      return gradients;
    },
  };
}

/** With SGD of rate 1, a row of one float then counts the samples that it was in. */
function noteVisits({ rowGrads }: StepGradients, { samples }: StepInput): void {
  const floats = rowGrads.length / samples;
  for (let at = 0; at < rowGrads.length; at += floats) rowGrads[at] = -1;
}

const waited = (ms: number): Promise<void> =>
  ms > 0 ? new Promise((resolve) => void realClock.after(ms, resolve)) : Promise.resolve();
