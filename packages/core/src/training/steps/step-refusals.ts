/**
 * What becomes of a step that a PS node refuses. Mistakes fail the job. What passes, since partitions are being taken
 * over, asks for a new term: not again and again, and not forever.
 */
import { ClusterError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Clock } from "../../wire/index.ts";

export interface StepRefusalsOptions {
  clock: Clock;
  askForNewTerm(reason: string): void;
  fail(error: ClusterError): void;
}

/** How far training is: refusals that go on without either changing do not pass. */
export interface Progress {
  /** The newest step whose dense result is applied. */
  applied: number;
  /** Of the partition map of the term. */
  heads: number;
}

export class StepRefusals {
  readonly #o: StepRefusalsOptions;
  #first: (Progress & { atMs: number }) | undefined;
  #askedMs = -Infinity;

  constructor(o: StepRefusalsOptions) {
    this.#o = o;
  }

  take(error: ClusterError, { applied, heads }: Progress): void {
    const { code, message } = error;
    if (!passes(error)) {
      this.#o.fail(new ClusterError("BAD_UPDATE", message));
      return;
    }
    const nowMs = this.#o.clock.now();
    if (this.#first?.applied !== applied || this.#first.heads !== heads) this.#first = { applied, heads, atMs: nowMs };
    const forMs = nowMs - this.#first.atMs;
    if (forMs < LIMITS.tableRetryMs) this.askLater(message);
    else this.#o.fail(new ClusterError(code, `${message} (for ${Math.round(forMs / 1000)} s)`));
  }

  /** Asks for a new term, unless one was asked for a moment ago: what is not answered is sent again, and refused again. */
  askLater(reason: string): void {
    const nowMs = this.#o.clock.now();
    if (nowMs - this.#askedMs < LIMITS.resendEveryMs) return;
    this.#askedMs = nowMs;
    this.#o.askForNewTerm(reason);
  }
}

/** A node that came back in another's place does not know the job; the next map says so. */
function passes(error: ClusterError): boolean {
  return error.retryable || error.code === "UNKNOWN_JOB";
}
