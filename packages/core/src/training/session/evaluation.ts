/**
 * Evaluation on one worker: leases shares of the held-out rows, predicts them from committed rows, and reports
 * metric states that the coordinator merges exactly. A share counts once: a lost worker's are leased again.
 */
import { weighingSamples, type Batch, type Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { newMetrics, type MetricsState } from "../../metrics/index.ts";
import type { Clock, ControlOf } from "../../wire/index.ts";
import type { GradientModel } from "../job/gradient-model.ts";
import type { StepRows } from "../rows/step-rows.ts";

const SAMPLES_PER_BATCH = 4096;
const ASK_AGAIN_MS = 100;

export interface EvaluationOptions {
  manifest: JobManifest;
  dataset: Pick<Dataset, "read">;
  model: GradientModel;
  /** The batch with its rows from the PS nodes. */
  pull(batch: Batch): Promise<StepRows>;
  clock: Clock;
  ask(): void;
  report(lease: number, metrics: MetricsState): void;
  fail(error: unknown): void;
}

export class Evaluation {
  readonly #o: EvaluationOptions;
  /** The weights that held-out rows are, or were last, evaluated with: those after so many steps, or any other count. */
  #wanted = 0;
  /** Those that the model has. */
  #applied = 0;
  /** What is to be done once these are the same. */
  readonly #waiting: (() => void)[] = [];

  constructor(o: EvaluationOptions) {
    this.#o = o;
  }

  /**
   * The held-out rows are to be evaluated with weights number `wanted`, once these are {@link applied}. What waits for
   * others is of an evaluation that is over.
   */
  begin(wanted: number): void {
    this.#wanted = wanted;
    this.#waiting.length = 0;
    this.#once(() => this.#o.ask());
  }

  onLease(lease: ControlOf<"lease">): void {
    this.#once(() => void this.#evaluate(lease).catch((error: unknown) => this.#o.fail(error)));
  }

  /** The model has dense weights number `applied`. */
  applied(applied: number): void {
    this.#applied = applied;
    if (this.#waiting.length === 0 || applied < this.#wanted) return;
    for (const run of this.#waiting.splice(0)) run();
  }

  onNoLease(reason: "wait" | "done"): void {
    const evaluation = this.#wanted;
    if (reason === "wait") this.#o.clock.after(ASK_AGAIN_MS, () => this.#askIn(evaluation));
  }

  /** The next evaluation asks for itself. */
  #askIn(evaluation: number): void {
    if (evaluation === this.#wanted) this.#o.ask();
  }

  #once(run: () => void): void {
    this.#waiting.push(run);
    this.applied(this.#applied);
  }

  async #evaluate({ lease, from, to }: ControlOf<"lease">): Promise<void> {
    const evaluation = this.#wanted;
    const metrics = newMetrics(this.#o.manifest);
    const { outputs } = this.#o.manifest.model;
    for (let at = from; at < to; at += SAMPLES_PER_BATCH) {
      const wanted = Uint32Array.from({ length: Math.min(SAMPLES_PER_BATCH, to - at) }, (_, i) => at + i);
      const batch = weighingSamples(await this.#o.dataset.read("test", wanted, 0));
      const { samples, label, weight, group } = batch;
      if (samples === 0) continue;
      const rows = await this.#o.pull(batch);
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
    this.#askIn(evaluation);
  }
}
