/**
 * What a worker tells the coordinator of one job: that it is ready, committed steps, rows of the data that it left out,
 * shares that it evaluated, what went wrong. Nothing more once the job is left.
 */
import type { Dataset } from "../../data/index.ts";
import { ClusterError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { MetricsState } from "../../metrics/index.ts";
import type { Control } from "../../wire/index.ts";
import type { CommittedStep } from "../job/attempt.ts";

/** Commits a new leader repeats to the coordinator, in case the old one's reports were lost. */
const COMMITS_REPEATED = 64;

export interface CoordinatorLineOptions {
  job: number;
  dataset: Pick<Dataset, "trainRows" | "testRows" | "fingerprint" | "badRows" | "blocks">;
  coordinator: { send(control: Control): void };
}

export class CoordinatorLine {
  readonly #o: CoordinatorLineOptions;
  #commits: CommittedStep[] = [];
  #reportedTerm = 0;
  #badRowsTold = 0;
  /** The term that a new one was asked for. */
  #askedIn = -1;
  #closed = false;

  constructor(o: CoordinatorLineOptions) {
    this.#o = o;
  }

  /** Has the job been left? */
  get closed(): boolean {
    return this.#closed;
  }

  tell(control: Control): void {
    if (!this.#closed) this.#o.coordinator.send(control);
  }

  /** This worker has the data and the model. */
  ready(): void {
    this.tellBadRows();
    const { trainRows, testRows, fingerprint } = this.#o.dataset;
    this.tell({ type: "ready", job: this.#o.job, trainRows, testRows, fingerprint });
  }

  askForLease(purpose: "train" | "evaluate", term: number): void {
    this.tell({ type: "lease-request", job: this.#o.job, purpose, term });
  }

  /** Once in a term: the next one begins, or what is asked for is out of date. */
  askForNewTerm(term: number, reason: string): void {
    if (this.#askedIn === term) return;
    this.#askedIn = term;
    this.tell({ type: "term-request", job: this.#o.job, term, reason });
  }

  /** A step is committed; the leader reports it. */
  noteCommit(commit: CommittedStep): void {
    this.#commits.push(commit);
    if (this.#commits.length > COMMITS_REPEATED) this.#commits.shift();
  }

  /** The newest commit; the first report of a term repeats what the leader before may have missed. */
  reportCommits(term: number): void {
    const commits = this.#reportedTerm === term ? this.#commits.slice(-1) : this.#commits;
    this.#reportedTerm = term;
    this.tell({ type: "progress", job: this.#o.job, term, commits });
  }

  /** The rows left out, if there are more than were told. */
  tellBadRows(): void {
    const { job, dataset } = this.#o;
    const { count, first } = dataset.badRows();
    if (count === this.#badRowsTold) return;
    this.#badRowsTold = count;
    const scope = dataset.blocks === undefined ? "data" : "read";
    const places = first.slice(0, LIMITS.badRowsKept).map(({ place, fault }) => `${place}: ${fault}`);
    this.tell({ type: "bad-rows", job, scope, count, first: places });
  }

  /** The leased share of the held-out rows has these metrics. */
  evaluated(lease: number, metrics: MetricsState): void {
    this.tellBadRows();
    this.tell({ type: "evaluated", job: this.#o.job, lease, metrics });
  }

  /** The job cannot go on. */
  fail(error: unknown): void {
    const code = error instanceof ClusterError ? error.code : "JOB_FAILED";
    const message = error instanceof Error ? error.message : String(error);
    this.tell({ type: "fail", job: this.#o.job, code, message });
  }

  close(): void {
    this.#closed = true;
  }
}
