/**
 * Evaluation on one worker: leases shares of the held-out rows, predicts them from committed rows, and reports
 * metric states that the coordinator merges exactly. A share counts once: a lost worker's are leased again.
 */
import type { Clock, ControlOf } from "../wire/index.ts";
import type { JobManifest } from "../job/index.ts";
import type { GradientModel } from "./gradient-model.ts";
import { newMetrics, type MetricsState } from "../metrics/index.ts";
import type { StepRows, StepRowsFactory } from "./step-rows.ts";

const SAMPLES_PER_BATCH = 4096;
const ASK_AGAIN_MS = 100;

export interface EvaluationOptions {
  manifest: JobManifest;
  rows: StepRowsFactory;
  model: GradientModel;
  /** Fills the batch's rows from the PS nodes. */
  pull(rows: StepRows): Promise<void>;
  clock: Clock;
  ask(): void;
  report(lease: number, metrics: MetricsState): void;
  fail(error: unknown): void;
}

export class Evaluation {
  readonly #o: EvaluationOptions;

  constructor(o: EvaluationOptions) {
    this.#o = o;
  }

  begin(): void {
    this.#o.ask();
  }

  onLease(lease: ControlOf<"lease">): void {
    this.#evaluate(lease).catch((error: unknown) => this.#o.fail(error));
  }

  onNoLease(reason: "wait" | "done"): void {
    if (reason === "wait") this.#o.clock.after(ASK_AGAIN_MS, () => this.#o.ask());
  }

  async #evaluate({ lease, from, to }: ControlOf<"lease">): Promise<void> {
    const metrics = newMetrics(this.#o.manifest);
    const { outputs } = this.#o.manifest.model;
    for (let at = from; at < to; at += SAMPLES_PER_BATCH) {
      const wanted = Uint32Array.from({ length: Math.min(SAMPLES_PER_BATCH, to - at) }, (_, i) => at + i);
      const rows = await this.#o.rows.read("test", wanted, 0);
      const { samples, label, weight, group } = rows.batch;
      if (samples === 0) continue;
      await this.#o.pull(rows);
      const scores = await this.#o.model.predict({
        rows: rows.gather(),
        numbers: rows.numbers,
        masks: rows.masks,
        samples,
      });
      metrics.update({
        samples,
        labels: label,
        labelWidth: label.length / samples,
        scores,
        outputs,
        weight,
        group,
      });
    }
    this.#o.report(lease, metrics.toJSON());
    this.#o.ask();
  }
}
