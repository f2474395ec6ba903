/**
 * What is told to clients waits here until the tails of the chains have all that it depends on. Where a chain is one
 * node long, nothing waits.
 */
import { ClusterError } from "@volary/core/errors";
import type { PsBounds } from "../effects.ts";
import type { Replica } from "./replica.ts";

/** Something that is told once some replicas have been acknowledged. */
export interface Waiter {
  /** Replicas it still waits for. */
  needs: number;
  /** Of the answer, and of the request as long as it may have to be sent again. */
  readonly bytes: number;
  /** Called once: say it. */
  readonly release: () => void;
  /** Called instead where a replica it waited for is not this node's any more. */
  readonly fail: () => void;
}

export interface Told {
  /** What it keeps in memory while it waits; none by default. */
  bytes?: number;
  release: () => void;
  fail: () => void;
}

export interface AckGateOptions {
  job: number;
  bounds: Pick<Required<PsBounds>, "waitingAnswersMax" | "waitingBytesMax">;
  acksBeforeTail: boolean;
}

export class AckGate {
  /** Answers that wait. */
  waiting = 0;
  #bytes = 0;
  readonly #o: AckGateOptions;

  constructor(o: AckGateOptions) {
    this.#o = o;
  }

  /** @throws {ClusterError} PARTITION_UNAVAILABLE: too much waits already, since nodes behind this one do not answer */
  checkRoom(): void {
    const { job, bounds } = this.#o;
    const { waitingAnswersMax, waitingBytesMax } = bounds;
    if (this.waiting < waitingAnswersMax && this.#bytes < waitingBytesMax) return;
    const limit = `${waitingAnswersMax} answers or ${waitingBytesMax} bytes of them`;
    throw new ClusterError(
      "PARTITION_UNAVAILABLE",
      `job ${job} has ${limit} waiting for other replicas, which do not keep up; try again later`,
    );
  }

  /** Tells something once all that these replicas have now is acknowledged. */
  afterWrites(replicas: readonly Replica[], told: Told): void {
    this.#hold(replicas, 0, told);
  }

  /**
   * Tells what was read once each chain has confirmed, after the read, that this node is still its head: a record that
   * is acknowledged later than the read proves it.
   */
  afterReads(replicas: readonly Replica[], told: Told): void {
    this.#hold(replicas, 1, told);
  }

  /** The replica was acknowledged, or needs no one any more. */
  onAcked(replica: Replica): void {
    const { waiting } = replica;
    let n = 0;
    while (n < waiting.length && waiting[n]!.sequence <= replica.acked) n++;
    if (n === 0) return;
    for (const { waiter } of waiting.splice(0, n)) {
      if (waiter.needs < 0 || --waiter.needs > 0) continue; // below 0: it has failed
      this.#end(waiter);
      waiter.release();
    }
  }

  /** The replica is dropped: those that wait for it are told so. */
  drop(replica: Replica): void {
    for (const { waiter } of replica.waiting.splice(0)) {
      if (waiter.needs < 0) continue;
      waiter.needs = -1;
      this.#end(waiter);
      waiter.fail();
    }
  }

  #end({ bytes }: Waiter): void {
    this.waiting--;
    this.#bytes -= bytes;
  }

  #hold(replicas: readonly Replica[], more: number, { bytes = 0, release, fail }: Told): void {
    let waiter: Waiter | undefined;
    if (this.#o.acksBeforeTail) return release();
    for (const replica of replicas) {
      if (!replica.isFollowed || (more === 0 && replica.acked === replica.sequence)) continue;
      waiter ??= { needs: 0, bytes, release, fail };
      waiter.needs++;
      const sequence = replica.sequence + more;
      const { waiting } = replica;
      let at = waiting.length;
      while (at > 0 && waiting[at - 1]!.sequence > sequence) at--;
      waiting.splice(at, 0, { sequence, waiter });
    }
    if (!waiter) return release();
    this.waiting++;
    this.#bytes += bytes;
  }
}
