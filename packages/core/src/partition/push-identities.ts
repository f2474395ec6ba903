/**
 * Which direct pushes a partition has applied, so that one that is sent again counts once. (A step's pushes are
 * named by their slots; see `staging.ts`.)
 *
 * A push carries (client, sequence, settled): `client` is a number that each client draws at random when it starts,
 * `sequence` counts its pushes up from 1, and all up to `settled` will never be sent again: they were answered, or
 * given up. So a partition remembers, per client, only what is neither, at most {@link LIMITS.directPushesMax}
 * numbers. Clients are never forgotten while the job is open, since a forgotten one could count twice; after
 * {@link LIMITS.pushClientsMax} of them no new one is let in.
 *
 * The workers of a job whose gradients are applied as they come push as one client, {@link TRAINING_CLIENT}: a batch has
 * the same name whoever pushes it, so one that two workers were given counts once.
 */
import { ClusterError, ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/** Whom the pushes of a job's batches are by; no other client has this number. */
export const TRAINING_CLIENT = 0;

export interface PushIdentity {
  /** Whole, below 2⁵³. */
  readonly client: number;
  /** From 1. */
  readonly sequence: number;
  readonly settled: number;
}

/** A direct push as it is applied. */
export interface DirectPush extends PushIdentity {
  /** Of a batch of training: how many batches make a step. 0 or nothing in pushes of others, which belong to no step. */
  readonly slots?: number;
}

/** The step that a direct push is of, from 1; 0 where it is of none. */
export function stepOf({ sequence, slots = 0 }: DirectPush): number {
  return slots === 0 ? 0 : Math.ceil(sequence / slots);
}

interface PushesOfClient {
  settled: number;
  /** Those above `settled` that were applied. */
  readonly applied: Set<number>;
}

/** Numbers of a client in a snapshot before those of its pushes. */
const CLIENT_NUMBERS = 3;

export class PushIdentities {
  readonly #clients = new Map<number, PushesOfClient>();

  /**
   * Was this push applied, or given up by its client? Changes nothing.
   *
   * @throws {RangeError} numbers that no client sends
   * @throws {ClusterError} LIMIT_EXCEEDED: too many clients
   */
  has({ client, sequence, settled }: PushIdentity): boolean {
    if (!(sequence > settled && settled >= 0 && sequence - settled <= LIMITS.directPushesMax)) {
      throw new RangeError(
        `push ${sequence} of a client that has settled ${settled}: it may be at most ${LIMITS.directPushesMax} ahead`,
      );
    }
    const known = this.#clients.get(client);
    if (known) return sequence <= known.settled || known.applied.has(sequence);
    if (this.#clients.size < LIMITS.pushClientsMax) return false;
    throw new ClusterError(
      "LIMIT_EXCEEDED",
      `${LIMITS.pushClientsMax} clients have pushed to these tables; use one client for longer, or open the tables anew`,
    );
  }

  /** Remembers a push that is new, and forgets what its client has settled. */
  add({ client, sequence, settled }: PushIdentity): void {
    let known = this.#clients.get(client);
    if (!known) this.#clients.set(client, (known = { settled: 0, applied: new Set() }));
    known.applied.add(sequence);
    if (settled <= known.settled) return;
    known.settled = settled;
    for (const each of known.applied) if (each <= settled) known.applied.delete(each);
  }

  /** A copy of all there is: of each client its number, what it has settled, how many pushes follow, and these. */
  snapshot(): number[] {
    const clients = [...this.#clients].toSorted(([a], [b]) => a - b);
    return clients.flatMap(([client, { settled, applied }]) => [
      client,
      settled,
      applied.size,
      ...[...applied].toSorted((a, b) => a - b),
    ]);
  }

  /**
   * Becomes as what a snapshot was taken of.
   *
   * @throws {ProtocolError} no snapshot of direct pushes
   */
  restore(numbers: readonly number[]): void {
    this.#clients.clear();
    for (let at = 0; at < numbers.length;) {
      const [client = 0, settled = 0, count = Infinity] = numbers.slice(at, at + CLIENT_NUMBERS);
      at += CLIENT_NUMBERS;
      if (count > numbers.length - at) throw new ProtocolError(`direct pushes of client ${client} end after ${at}`);
      this.#clients.set(client, { settled, applied: new Set(numbers.slice(at, at + count)) });
      at += count;
    }
  }

  /** Forgets all of it. */
  clear(): void {
    this.#clients.clear();
  }
}
