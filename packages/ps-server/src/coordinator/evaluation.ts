/**
 * One evaluation of the held-out rows, as they are after one step: shares of them are leased to workers one by one,
 * and their metric states merge exactly. What a lost worker had not finished is leased again.
 */
import { ProtocolError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { newMetrics, type Metrics, type MetricsState } from "@volary/core/metrics";
import { LeaseTable, type Lease } from "./lease-table.ts";

/** Small enough to lose, large enough to be rare. */
const SAMPLES_PER_LEASE = 16_384;

export class Evaluation {
  /** The step whose rows and dense weights are evaluated. */
  readonly step: number;
  readonly #leases: LeaseTable;
  readonly #metrics: Metrics;
  /** Workers that were told to take part. */
  readonly #told = new Set<number>();

  constructor({ step, testRows, manifest }: { step: number; testRows: number; manifest: JobManifest }) {
    this.step = step;
    this.#leases = new LeaseTable({ from: 0, to: testRows });
    this.#metrics = newMetrics(manifest);
  }

  get done(): boolean {
    return this.#leases.done;
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
  lease(worker: number): Lease | undefined {
    if (!this.#told.has(worker)) return undefined;
    return this.#leases.acquire({ holder: worker, unitsMax: SAMPLES_PER_LEASE });
  }

  /** The worker is lost: what it has not finished is leased again. */
  release(worker: number): void {
    this.#leases.release({ holder: worker });
  }

  /**
   * Merges a finished share; false when the worker does not hold that lease any more.
   *
   * @throws {ProtocolError} metrics that are not this job's; the lease is still held then
   */
  take({ lease, worker, metrics }: { lease: number; worker: number; metrics: MetricsState }): boolean {
    if (this.#leases.holderOf({ lease }) !== worker) return false;
    try {
      this.#metrics.merge(metrics);
    } catch (cause) {
      throw new ProtocolError(`metrics of lease ${lease}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
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
