/** What the page shows of a job: its newest status, and the curve of its loss, from the messages that tell of it. */
import type { JobStatus } from "@volary/core/wire";
import { Curve } from "../ui/curve.ts";

/** A snapshot. */
export interface JobView {
  job: JobStatus | undefined;
  /** Mean training loss by step. */
  loss: { steps: readonly number[]; values: readonly number[] };
}

export const NO_JOB: JobView = { job: undefined, loss: { steps: [], values: [] } };

export class JobHistory {
  readonly #curve = new Curve();

  /** A story that is told again, after a link was lost, changes nothing. */
  take(status: JobStatus): JobView {
    const news = status.news?.steps ?? [];
    for (const { step, loss, samples } of news) this.#curve.add({ step, value: loss, weight: samples });
    if (news.length === 0 && status.loss !== null) this.#curve.add({ step: status.step, value: status.loss });
    return { job: status, loss: { steps: this.#curve.steps, values: this.#curve.values } };
  }
}

export const isDone = ({ job }: JobView): boolean => job?.phase === "done" || job?.phase === "evaluating";
