/** What happened in a cluster, for people: the newest of it, oldest first. */
import { LIMITS } from "@volary/core/limits";
import type { ClusterEvent } from "@volary/core/wire";
import type { Job } from "./job.ts";

/** So long that it is no sentence any more. */
const MESSAGE_MAX = 1_000;

export class Events {
  readonly #events: ClusterEvent[] = [];
  readonly #phases = new Map<Job, string>();
  #began: number | undefined;
  #failovers = 0;

  /** @param now when the coordinator began, at the first call */
  begin(now: number): void {
    this.#began ??= now;
  }

  get all(): ClusterEvent[] {
    return [...this.#events];
  }

  add(kind: ClusterEvent["kind"], message: string, now: number): void {
    this.begin(now);
    this.#events.push({ at: now - this.#began!, kind, message: message.slice(0, MESSAGE_MAX) });
    if (this.#events.length > LIMITS.eventsKept) this.#events.shift();
  }

  /** Notes what has changed since the last call: phases of jobs, and heads that were taken over from lost nodes. */
  compare({ jobs, failovers }: { jobs: Iterable<Job>; failovers: number }, now: number): void {
    for (const job of jobs) {
      if (this.#phases.get(job) === job.phase) continue;
      this.#phases.set(job, job.phase);
      const why = job.message === undefined ? "" : `: ${job.message}`;
      this.add("job", `job ${job.job} (${job.manifest.name}) is ${job.phase}${why}`, now);
    }
    const more = failovers - this.#failovers;
    this.#failovers = failovers;
    if (more > 0) this.add("ps", `${more} heads were taken over from lost nodes`, now);
  }
}
