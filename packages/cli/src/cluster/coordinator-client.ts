/**
 * A client's link to the coordinator: one request at a time, each with its answer or error, and the news of the jobs
 * it watches in between.
 *
 * What happens when a peer dies here: when the link closes, whatever waits is rejected and every watcher is told;
 * the jobs run on, and PS nodes tell of newer partition maps.
 */
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import type { Clock, ClusterStatus, Control, ControlOf, Dialer, JobStatus, Link } from "@volary/core/wire";

/** The steps of a job with the attempt each was committed under, and its terms. */
export type Commits = Pick<ControlOf<"commits">, "commits" | "terms">;

export interface JobWatcher {
  onStatus(status: JobStatus): void;
  /** The coordinator refused something about the job, or is gone. Nothing follows. */
  onError(error: ClusterError): void;
}

interface Waiting {
  type: Control["type"];
  /** The job it is about, if it is about one. */
  job: number | undefined;
  resolve(answer: Control): void;
  reject(error: Error): void;
}

/** Opening a job's tables waits for every PS node. */
const SUBMIT_TIMEOUT_MS = 60_000;
const ANSWER_TIMEOUT_MS: number = LIMITS.heartbeatLostMs;

export class CoordinatorClient {
  readonly address: string;
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #watchers = new Map<number, JobWatcher>();
  readonly #mapListeners = new Set<(map: PartitionMap) => void>();
  readonly #leaveListeners = new Set<() => void>();
  /** The newest that the coordinator sent by itself. */
  #map: PartitionMap | undefined;
  #waiting: Waiting | undefined;
  /** Settles when the request before is over. */
  #turn: Promise<unknown> = Promise.resolve();
  #gone: ClusterError | undefined;

  /** Use {@link CoordinatorClient.connect}. */
  constructor({ address, link, clock }: { address: string; link: Link; clock: Clock }) {
    this.address = address;
    this.#link = link;
    this.#clock = clock;
    link.listen({
      onControl: (control) => this.#onControl(control),
      onFrame: () => {},
      onClose: (reason) => this.#onClose(reason),
    });
  }

  /** @throws {ClusterError} COORDINATOR_UNAVAILABLE, PROTOCOL_VERSION, TIMEOUT */
  static async connect(o: { address: string; name: string; dialer: Dialer; clock: Clock }): Promise<CoordinatorClient> {
    const { address, name, dialer, clock } = o;
    const link = await dialer.dial(address, { role: "client", name });
    return new CoordinatorClient({ address, link, clock });
  }

  /** @throws {ClusterError} TIMEOUT, COORDINATOR_UNAVAILABLE */
  async status(): Promise<ClusterStatus> {
    return (await this.#ask({ type: "status-request" }, "status")).status;
  }

  /**
   * Has the others take over what a PS node holds, by its name. The status shows when it holds nothing.
   *
   * @throws {ClusterError} what the coordinator says of an unknown node; TIMEOUT, COORDINATOR_UNAVAILABLE
   */
  async drain(node: string): Promise<void> {
    await this.#ask({ type: "drain", node }, "draining");
  }

  /**
   * Opens a job's tables on the PS nodes; it does not run yet.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE, LIMIT_EXCEEDED, TIMEOUT, COORDINATOR_UNAVAILABLE
   */
  async submit(manifest: JobManifest): Promise<{ job: number; map: PartitionMap }> {
    const { job, map } = await this.#ask({ type: "submit", manifest }, "submitted", SUBMIT_TIMEOUT_MS);
    return { job, map };
  }

  /**
   * Makes tokens that let volunteers in.
   *
   * @throws {ClusterError} UNKNOWN_JOB; BAD_JOB: no browser can help it; LIMIT_EXCEEDED, TIMEOUT, COORDINATOR_UNAVAILABLE
   */
  invite(invite: ControlOf<"invite">): Promise<ControlOf<"invited">> {
    return this.#ask(invite, "invited");
  }

  /** @throws {ClusterError} UNKNOWN_JOB, TIMEOUT, COORDINATOR_UNAVAILABLE */
  async commits(job: number): Promise<Commits> {
    const { commits, terms } = await this.#ask({ type: "commits-request", job }, "commits");
    return { commits, terms };
  }

  /** Tells the news of a job until its watcher is taken away. */
  watch(job: number, watcher: JobWatcher): void {
    if (this.#gone) return watcher.onError(this.#gone);
    this.#watchers.set(job, watcher);
    this.#link.sendControl({ type: "watch", job });
  }

  unwatch(job: number): void {
    this.#watchers.delete(job);
  }

  /**
   * Tells the newest partition map, now if one came already, and later ones until the listener is taken away, which
   * the returned function does.
   */
  onMap(listener: (map: PartitionMap) => void): () => void {
    this.#mapListeners.add(listener);
    if (this.#map) listener(this.#map);
    return () => void this.#mapListeners.delete(listener);
  }

  runJob(job: number): void {
    this.#link.sendControl({ type: "run-job", job });
  }

  /** Ends training after the step under way; the job is evaluated and done. */
  finishJob(job: number, reason: string): void {
    this.#link.sendControl({ type: "finish-job", job, reason });
  }

  stopJob(job: number): void {
    this.#link.sendControl({ type: "stop-job", job });
  }

  /** Ends a job and lets the PS nodes drop its rows. */
  closeJob(job: number): void {
    this.#link.sendControl({ type: "close-job", job });
  }

  /** Tells that this side closes, not that the coordinator is lost; the returned function takes the listener away. */
  onLeave(listener: () => void): () => void {
    this.#leaveListeners.add(listener);
    return () => void this.#leaveListeners.delete(listener);
  }

  close(): void {
    for (const listener of this.#leaveListeners) listener();
    this.#link.close("the client is done");
  }

  #ask<T extends Control["type"]>(request: Control, type: T, timeoutMs = ANSWER_TIMEOUT_MS): Promise<ControlOf<T>> {
    const answer = this.#turn.then(() => this.#askNow(request, type, timeoutMs));
    this.#turn = answer.catch(() => {});
    return answer as Promise<ControlOf<T>>;
  }

  #askNow(request: Control, type: Control["type"], timeoutMs: number): Promise<Control> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#waiting = undefined;
        const message = `the coordinator at ${this.address} did not answer "${request.type}" within ${timeoutMs / 1000} s`;
        reject(new ClusterError("TIMEOUT", message));
      });
      this.#waiting = {
        type,
        job: "job" in request ? request.job : undefined,
        resolve: (control) => (cancel(), resolve(control)),
        reject: (error) => (cancel(), reject(error)),
      };
      this.#link.sendControl(request);
    });
  }

  #onControl(control: Control): void {
    const waiting = this.#waiting;
    if (control.type === "job-status") this.#watchers.get(control.status.job)?.onStatus(control.status);
    else if (control.type === "error") this.#onError(control);
    else if (control.type === "map") this.#onNewMap(control.map);
    else if (waiting?.type === control.type) {
      this.#waiting = undefined;
      waiting.resolve(control);
    }
    // else: the late answer to a request that was given up
  }

  #onNewMap(map: PartitionMap): void {
    this.#map = map;
    for (const listener of this.#mapListeners) listener(map);
  }

  /**
   * An error is about the request that waits, or a job we watch. A submission that is refused late has a job number
   * that its client has not heard of.
   */
  #onError({ code, message, job }: ControlOf<"error">): void {
    const error = new ClusterError(code as ClusterErrorCode, message);
    const waiting = this.#waiting;
    const isRefusal = waiting?.type === "submitted" && job !== undefined && !this.#watchers.has(job);
    if (waiting && (waiting.job === job || isRefusal)) {
      this.#waiting = undefined;
      waiting.reject(error);
    } else if (job !== undefined) {
      const watcher = this.#watchers.get(job);
      this.#watchers.delete(job);
      watcher?.onError(error);
    }
  }

  #onClose(reason: string): void {
    const gone = new ClusterError("COORDINATOR_UNAVAILABLE", `the coordinator at ${this.address} is gone: ${reason}`);
    this.#gone = gone;
    this.#waiting?.reject(gone);
    this.#waiting = undefined;
    for (const watcher of this.#watchers.values()) watcher.onError(gone);
    this.#watchers.clear();
  }
}
