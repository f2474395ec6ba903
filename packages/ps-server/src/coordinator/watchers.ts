/**
 * Who watches which job, and what each was last told. Phases, terms and validations are told at once; steps, of which
 * there may be a thousand a second, are gathered for a moment.
 */
import { LIMITS } from "@volary/core/limits";
import type { JobStatus } from "@volary/core/wire";
import type { LinkId } from "./effects.ts";
import { NOTHING_KNOWN, type Known } from "./job-history.ts";
import type { Job } from "./job.ts";

interface Told {
  known: Known;
  /** What must be told at once when it changes. */
  state: string;
  evaluated: number;
  at: number;
}

export class Watchers {
  readonly #watched = new Map<LinkId, Map<Job, Told | undefined>>();

  /** The watcher is told the job's whole story with the next news. */
  add(link: LinkId, job: Job): void {
    const jobs = this.#watched.get(link) ?? new Map<Job, Told | undefined>();
    this.#watched.set(link, jobs.set(job, undefined));
  }

  remove(link: LinkId): void {
    this.#watched.delete(link);
  }

  /** Who watches a job. */
  *of(job: Job): Iterable<LinkId> {
    for (const [link, jobs] of this.#watched) if (jobs.has(job)) yield link;
  }

  /** What is to be told now. */
  news(now: number): { link: LinkId; status: JobStatus }[] {
    const all: { link: LinkId; status: JobStatus }[] = [];
    for (const [link, jobs] of this.#watched) {
      for (const [job, told] of jobs) {
        if (!isNews(job, told, now)) continue;
        const known = job.history?.size ?? NOTHING_KNOWN;
        jobs.set(job, { known, state: stateOf(job), evaluated: job.evaluated, at: now });
        const news = job.history?.newsAfter(told?.known ?? NOTHING_KNOWN);
        all.push({ link, status: { ...job.status(now), ...(news ? { news } : {}) } });
      }
    }
    return all;
  }
}

function isNews(job: Job, told: Told | undefined, now: number): boolean {
  if (told === undefined || told.state !== stateOf(job)) return true;
  const moved = told.known.steps !== job.commits.length || told.evaluated !== job.evaluated;
  return moved && now - told.at >= LIMITS.newsEveryMs;
}

function stateOf(job: Job): string {
  const { epochs, validations } = job.history?.size ?? NOTHING_KNOWN;
  return `${job.phase}/${job.term}/${epochs}/${validations}/${job.badRows.count}`;
}
