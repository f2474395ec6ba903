/** What a worker tells the coordinator about its part of a job: committed steps, and rows of the data that it left out. */
import type { Dataset } from "../../data/index.ts";
import { LIMITS } from "../../limits.ts";
import type { Control } from "../../wire/index.ts";
import type { CommittedStep } from "../job/attempt.ts";

/** Commits a new leader repeats to the coordinator, in case the old one's reports were lost. */
const COMMITS_REPEATED = 64;

export interface JobNewsOptions {
  job: number;
  dataset: Pick<Dataset, "badRows" | "blocks">;
  tell: (control: Control) => void;
}

export class JobNews {
  readonly #o: JobNewsOptions;
  #commits: CommittedStep[] = [];
  #reportedTerm = 0;
  #badRowsTold = 0;

  constructor(o: JobNewsOptions) {
    this.#o = o;
  }

  /** A step is committed; the leader reports it. */
  add(commit: CommittedStep): void {
    this.#commits.push(commit);
    if (this.#commits.length > COMMITS_REPEATED) this.#commits.shift();
  }

  /** The newest commit; the first report of a term repeats what the leader before may have missed. */
  reportCommits(term: number): void {
    const { job, tell } = this.#o;
    const commits = this.#reportedTerm === term ? this.#commits.slice(-1) : this.#commits;
    this.#reportedTerm = term;
    tell({ type: "progress", job, term, commits });
  }

  /** The rows left out, if there are more than were told. */
  tellBadRows(): void {
    const { job, dataset, tell } = this.#o;
    const { count, first } = dataset.badRows();
    if (count === this.#badRowsTold) return;
    this.#badRowsTold = count;
    const scope = dataset.blocks === undefined ? "data" : "read";
    const places = first.slice(0, LIMITS.badRowsKept).map(({ place, fault }) => `${place}: ${fault}`);
    tell({ type: "bad-rows", job, scope, count, first: places });
  }
}
