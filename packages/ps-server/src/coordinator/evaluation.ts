/**
 * One evaluation of the held-out rows, as they are after one step: shares of them are leased to workers one by one,
 * and their metric states merge exactly. What a lost worker had not finished is leased again. What one takes far too long
 * for is leased to another one as well, and the first to be done counts.
 */
import { ProtocolError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { newMetrics, type Metrics, type MetricsState } from "@volary/core/metrics";
import { Lateness } from "./batches/lateness.ts";
import { LeaseTable, type Lease } from "./lease-table.ts";

/** Small enough to lose, large enough to be rare. */
const SAMPLES_PER_LEASE = 16_384;

export interface EvaluationOptions {
  step: number;
  testRows: number;
  manifest: JobManifest;
  /** No lease of an earlier evaluation has this number or a greater one: a late answer to that is none to this one. */
  firstLease?: number | undefined;
  /** Of shares, in evaluations before. */
  lateness?: Lateness;
}

export class Evaluation {
  /** The step whose rows and dense weights are evaluated. */
  readonly step: number;
  readonly #leases: LeaseTable;
  readonly #metrics: Metrics;
  /** Workers that were told to take part. */
  readonly #told = new Set<number>();
  readonly #lateness: Lateness;
  /** By lease: since when who has it. */
  readonly #holders = new Map<number, Map<number, number>>();

  constructor(o: EvaluationOptions) {
    const { step, testRows, manifest, firstLease = 1, lateness = new Lateness() } = o;
    this.step = step;
    this.#lateness = lateness;
    this.#leases = new LeaseTable({ from: 0, to: testRows, firstLease });
    this.#metrics = newMetrics(manifest);
  }

  get done(): boolean {
    return this.#leases.done;
  }

  /** What the next evaluation begins with. */
  get nextLease(): number {
    return this.#leases.nextLease;
  }

  /** Rows whose share has come in. */
  get evaluated(): number {
    return this.#leases.finished;
  }

  /** True once for each worker: it is to be told of the evaluation. */
  invite(worker: number): boolean {
    if (this.#told.has(worker)) return false;
    this.#told.add(worker);
    return true;
  }

  /** Only for those that were told which weights are meant: others may still ask because of an evaluation before. */
  lease(worker: number, now: number): Lease | undefined {
    if (!this.#told.has(worker)) return undefined;
    const fresh = this.#leases.acquire({ holder: worker, unitsMax: SAMPLES_PER_LEASE });
    if (fresh) this.#holders.set(fresh.lease, new Map());
    const lease = fresh ?? this.#lateLease(worker, now);
    if (lease) this.#holders.get(lease.lease)!.set(worker, now);
    return lease;
  }

  /** One that all who have it take too long for, and this worker has not. */
  #lateLease(worker: number, now: number): Lease | undefined {
    const holdersOf = ({ lease }: Lease) => this.#holders.get(lease)!;
    const leased = [...this.#leases.leased];
    const awaited = new Map(leased.flatMap((lease) => [...holdersOf(lease)]));
    const late = this.#lateness.tooLate({ members: [...this.#told], awaited, now });
    return leased.find((lease) => {
      const holders = [...holdersOf(lease).keys()];
      return !holders.includes(worker) && holders.every((holder) => late.includes(holder));
    });
  }

  /** The worker is lost: what it has not finished is leased again. */
  release(worker: number): void {
    this.#leases.release({ holder: worker });
    for (const holders of this.#holders.values()) holders.delete(worker);
    this.#told.delete(worker);
    this.#lateness.forget(worker);
  }

  /**
   * Merges a finished share; false when the worker does not hold that lease any more, or another one was first.
   *
   * @throws {ProtocolError} metrics that are not this job's; the lease is still held then
   */
  take(o: { lease: number; worker: number; metrics: MetricsState; now: number }): boolean {
    const { lease, worker, metrics, now } = o;
    const since = this.#holders.get(lease)?.get(worker);
    if (since === undefined || this.#leases.holderOf({ lease }) === undefined) return false;
    try {
      this.#metrics.merge(metrics);
    } catch (cause) {
      throw new ProtocolError(`metrics of lease ${lease}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
    this.#lateness.did(worker);
    this.#lateness.note(now - since);
    return this.#leases.finish({ lease });
  }

  /** A metric that has no value, such as an AUC over one class, is left out: JSON has no word for it. */
  result(): Record<string, number> {
    if (this.#leases.total === 0) return {};
    return Object.fromEntries(
      Object.entries(this.#metrics.result()).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
    );
  }
}
