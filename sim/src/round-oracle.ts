/**
 * The dense weights of a counting job that workers train for themselves: its committed rounds, one after another, told
 * from which worker trained which batch between two of them.
 */
import type { DenseRoundsSpec } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import type { BatchMessage } from "./batch-messages.ts";
import { COUNTING_RATE, type BatchCounter } from "./counting-job.ts";
import { DENSE_FLOATS } from "./toy-job.ts";

export interface RoundsResult {
  /** After the last round: float64, from zeros. */
  dense: Float64Array;
  /** After the round before each evaluation, by its step. */
  atEvaluation: Map<number, Float64Array>;
  /** How far the weights may be off: what is lost where changes travel in fewer bytes. */
  tolerance: number;
}

/** Of the greatest change of a round. */
const LOST = { float32: 1e-5, bfloat16: 0.02, int8: 0.05 };

export function replayRounds(o: {
  manifest: JobManifest;
  counter: BatchCounter;
  messages: readonly BatchMessage[];
  spec: DenseRoundsSpec;
}): RoundsResult {
  const { manifest, counter, messages, spec } = o;
  const { outer } = spec;
  const dense = new Float64Array(DENSE_FLOATS);
  const momentum = new Float64Array(DENSE_FLOATS);
  const atEvaluation = new Map<number, Float64Array>();
  let [rounds, tolerance] = [0, 1e-5];
  const work = new Map<number, { change: Float64Array; samples: number }>();
  const given = new Map<number, number>();
  const train = (worker: number, batch: number) => {
    const { denseGrads, samples } = counter.count(batch);
    const mine = work.get(worker) ?? { change: new Float64Array(DENSE_FLOATS), samples: 0 };
    work.set(worker, mine);
    const rate = COUNTING_RATE * (manifest.fit.batchSize / samples.length);
    for (let i = 0; i < DENSE_FLOATS; i++) mine.change[i] = mine.change[i]! - rate * denseGrads[i]!;
    mine.samples += samples.length;
  };
  const commit = () => {
    const all = Array.from(work.values()).reduce((sum, { samples }) => sum + samples, 0);
    const mean = new Float64Array(DENSE_FLOATS);
    let greatest = 0;
    for (const { change, samples } of work.values()) {
      for (let i = 0; i < DENSE_FLOATS; i++) mean[i] = mean[i]! + (change[i]! * samples) / all;
      greatest = Math.max(greatest, ...change.map(Math.abs));
    }
    const gain = outer.kind === "average" ? 1 : outer.learningRate / (1 - outer.momentum) ** 2;
    tolerance += LOST[spec.compression] * greatest * Math.max(1, gain);
    for (let i = 0; i < DENSE_FLOATS; i++) {
      if (outer.kind === "average") {
        dense[i] = dense[i]! + mean[i]!;
        continue;
      }
      momentum[i] = outer.momentum * momentum[i]! + mean[i]!;
      dense[i] = dense[i]! + outer.learningRate * (mean[i]! + outer.momentum * momentum[i]!);
    }
    work.clear();
  };
  for (const { worker, control } of messages) {
    switch (control.type) {
      case "term": {
        const members = new Set(control.members.map((member) => member.worker));
        for (const known of work.keys()) if (!members.has(known)) work.delete(known);
        break;
      }
      case "batch":
        given.set(control.lease, worker);
        break;
      case "batch-done":
        if (given.get(control.lease) === worker && given.delete(control.lease)) train(worker, control.batch);
        break;
      case "commit-round":
        if (control.round <= rounds) break;
        rounds = control.round;
        commit();
        break;
      case "evaluate":
        atEvaluation.set(control.step, dense.slice());
        break;
      default:
    }
  }
  return { dense, atEvaluation, tolerance };
}
