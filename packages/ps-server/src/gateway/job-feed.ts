/**
 * What volunteers are told of their job: its curve so far when they join, then what is new, about once a second. Names of
 * files and rows of data are for operators, and are left out.
 */
import { LIMITS } from "@volary/core/limits";
import type { JobNews, JobStatus } from "@volary/core/wire";

export class JobFeed {
  /** The newest, without its news. */
  #status: JobStatus | undefined;
  /** What all were told, and what none was told yet. */
  #told: JobNews = { steps: [], epochs: [], validations: [] };
  #untold: JobNews = { steps: [], epochs: [], validations: [] };
  #isNew = false;
  #toldPhase: JobStatus["phase"] | undefined;
  #toldAt = -Infinity;

  /** From the coordinator, which tells the whole story again to a gateway that comes back. */
  take({ news, ...status }: JobStatus): void {
    const { phase, message, badRows } = status;
    const { message: _, ...rest } = status;
    this.#status = {
      ...rest,
      ...(message === undefined ? {} : { message: phase === "failed" ? "ask who invited you why" : message }),
      badRows: { count: badRows.count, first: [] },
    };
    this.#isNew = true;
    if (!news) return;
    const known = (of: "steps" | "epochs" | "validations") => (this.#untold[of].at(-1) ?? this.#told[of].at(-1))?.step;
    const after = <T extends { step: number }>(all: readonly T[], step = -1) => all.filter((one) => one.step > step);
    this.#untold = joined(this.#untold, {
      steps: after(news.steps, known("steps")),
      epochs: after(news.epochs, known("epochs")),
      validations: after(news.validations, known("validations")),
    });
  }

  get hasEnded(): boolean {
    const phase = this.#status?.phase;
    return phase === "done" || phase === "failed" || phase === "stopped";
  }

  /** For one who joins: all that the others were told. */
  story(): JobStatus | undefined {
    return this.#status && { ...this.#status, news: this.#told };
  }

  /**
   * For all who were told the story; undefined while nothing is new, or too soon after the last time. A new phase is told
   * at once: sessions end with their job.
   */
  news(now: number): JobStatus | undefined {
    if (!this.#status || !this.#isNew) return undefined;
    const { phase } = this.#status;
    if (phase === this.#toldPhase && now - this.#toldAt < LIMITS.gatewayNewsEveryMs) return undefined;
    this.#toldPhase = phase;
    const news = this.#untold;
    this.#told = joined(this.#told, news);
    this.#untold = { steps: [], epochs: [], validations: [] };
    this.#isNew = false;
    this.#toldAt = now;
    return { ...this.#status, news };
  }
}

/** Of each, the newest. */
function joined(a: JobNews, b: JobNews): JobNews {
  const newest = <T>(before: readonly T[], after: readonly T[]): T[] =>
    [...before, ...after].slice(-LIMITS.gatewayNewsMax);
  return {
    steps: newest(a.steps, b.steps),
    epochs: newest(a.epochs, b.epochs),
    validations: newest(a.validations, b.validations),
  };
}
