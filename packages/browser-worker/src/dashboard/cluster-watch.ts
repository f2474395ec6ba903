/**
 * Watches a cluster as any client may: asks the coordinator for its status once a second and watches jobs that someone
 * looks at, whose history comes first and then every step. A connection that is lost, or silent, is made again for as
 * long as the page is open; what was seen stays visible meanwhile, and the view says that it is old.
 */
import {
  connectWithBackoff,
  type Clock,
  type ClusterStatus,
  type Control,
  type Dialer,
  type Link,
} from "@volary/core/wire";
import { JobCurves } from "./job-curves.ts";

const ASK_EVERY_MS = 1_000;
/** A coordinator that has not answered for so long is taken for lost. */
const ANSWER_MS = 8_000;

/** How the page stands with the coordinator. `reason`: why not, for people. */
export type Connection =
  | { state: "connecting"; reason: string }
  | { state: "connected" }
  /** It will not take this page, so that it does not try again. */
  | { state: "refused"; reason: string };

export interface ClusterView {
  connection: Connection;
  /** The newest; undefined until the first one comes. */
  status: ClusterStatus | undefined;
  /** By job. */
  curves: ReadonlyMap<number, JobCurves>;
  /** What the coordinator refused of what this page asked, most recently. */
  fault: string | undefined;
}

export interface ClusterWatchOptions {
  dialer: Dialer;
  /** ws://host:port of the coordinator */
  address: string;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  /** Called whenever the view has changed: up to some ten times a second. */
  onChange: (view: ClusterView) => void;
}

export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  readonly #ending = new AbortController();
  readonly #wanted = new Set<number>();
  #watched = new Set<number>();
  #curves = new Map<number, JobCurves>();
  #connection: Connection = { state: "connecting", reason: "" };
  #status: ClusterStatus | undefined;
  #fault: string | undefined;
  #link: Link | undefined;

  constructor(options: ClusterWatchOptions) {
    this.#options = options;
  }

  get view(): ClusterView {
    return { connection: this.#connection, status: this.#status, curves: this.#curves, fault: this.#fault };
  }

  /** Watches until {@link stop}, or until the coordinator refuses for good. */
  async run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const link = await this.#connect();
      if (!link) return;
      const reason = await this.#serve(link);
      if (!this.#ending.signal.aborted) this.#tell({ connection: { state: "connecting", reason } });
    }
  }

  stop(): void {
    this.#ending.abort();
    this.#link?.close("the page is closed");
  }

  /** Asks for a job's history and all that follows; also of every later connection. */
  watch(job: number): void {
    this.#wanted.add(job);
    this.#watchWanted();
  }

  async #connect(): Promise<Link | undefined> {
    const { dialer, address, clock, random } = this.#options;
    try {
      return await connectWithBackoff({
        dialer,
        address,
        hello: { role: "client", name: "dashboard" },
        clock,
        random,
        log: (reason) => this.#tell({ connection: { state: "connecting", reason } }),
        attemptsMax: Infinity,
        signal: this.#ending.signal,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#ending.signal.aborted) this.#tell({ connection: { state: "refused", reason } });
      return undefined;
    }
  }

  /** @returns why the connection ended, for people */
  #serve(link: Link): Promise<string> {
    const { clock } = this.#options;
    this.#link = link;
    this.#watched = new Set();
    // The history comes again, from a coordinator that may be another one by now.
    this.#curves = new Map();
    let cancel = () => {};
    const ask = () => {
      link.sendControl({ type: "status-request" });
      cancel = clock.after(ANSWER_MS, () => link.close(`no answer for ${ANSWER_MS / 1000} s`));
    };
    return new Promise((resolve) => {
      link.listen({
        onControl: (control) => {
          if (control.type === "status") {
            cancel();
            cancel = clock.after(ASK_EVERY_MS, ask);
          }
          this.#onControl(control);
        },
        onFrame: () => {},
        onClose: (reason) => {
          cancel();
          this.#link = undefined;
          resolve(reason);
        },
      });
      ask();
    });
  }

  #onControl(control: Control): void {
    if (control.type === "status") {
      const { status } = control;
      for (const job of status.jobs) this.#curvesOf(job.job).addStatus(job, this.#options.clock.now());
      this.#tell({ connection: { state: "connected" }, status });
      this.#watchWanted();
    } else if (control.type === "job-status") {
      this.#curvesOf(control.status.job).addNews(control.status);
      this.#tell({ status: withJob(this.#status, control.status) });
    } else if (control.type === "error") this.#tell({ fault: control.message });
    // A watcher is told of partitions too, which no chart shows.
  }

  /** Watches what is wanted and there: a coordinator that has begun anew may know other jobs. */
  #watchWanted(): void {
    if (this.#connection.state !== "connected") return;
    for (const { job } of this.#status?.jobs ?? []) {
      if (!this.#link || !this.#wanted.has(job) || this.#watched.has(job)) continue;
      this.#watched.add(job);
      this.#link.sendControl({ type: "watch", job });
    }
  }

  #curvesOf(job: number): JobCurves {
    let curves = this.#curves.get(job);
    if (!curves) this.#curves.set(job, (curves = new JobCurves()));
    return curves;
  }

  #tell(change: { connection?: Connection; status?: ClusterStatus | undefined; fault?: string }): void {
    this.#connection = change.connection ?? this.#connection;
    this.#status = change.status ?? this.#status;
    this.#fault = change.fault ?? this.#fault;
    this.#options.onChange(this.view);
  }
}

/** A watched job is told of sooner than the next status. */
function withJob(status: ClusterStatus | undefined, job: ClusterStatus["jobs"][number]): ClusterStatus | undefined {
  return status && { ...status, jobs: status.jobs.map((old) => (old.job === job.job ? job : old)) };
}
