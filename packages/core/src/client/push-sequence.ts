/**
 * The names of one client's direct pushes: a number from 1 drawn at random when it starts, and a sequence. What the PS nodes
 * make of them is in `partition/push-identities.ts`.
 *
 * At most {@link LIMITS.directPushesMax} numbers lie between the oldest push that is not settled and the newest; the
 * next one waits.
 */
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { TRAINING_CLIENT, type PushIdentity } from "../partition/index.ts";

export class PushSequence {
  readonly #client: number;
  #last = 0;
  #settled = 0;
  readonly #open = new Set<number>();
  #waiting: (() => void)[] = [];

  /** @param random in [0, 1) */
  constructor({ random }: { random: () => number }) {
    this.#client = TRAINING_CLIENT + 1 + Math.floor(random() * (Number.MAX_SAFE_INTEGER - 1));
  }

  /** Takes the next number; it must be settled, however its push ends. */
  async next(): Promise<number> {
    while (this.#last - this.#settled >= LIMITS.directPushesMax)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const sequence = ++this.#last;
    assert(sequence < 2 ** 32, "a client has numbers for 2^32 pushes");
    this.#open.add(sequence);
    return sequence;
  }

  /** What a frame carries of a push, now. */
  identity(sequence: number): PushIdentity {
    return { client: this.#client, sequence, settled: this.#settled };
  }

  /** The push was answered, or given up: it is never sent again. */
  settle(sequence: number): void {
    this.#open.delete(sequence);
    while (this.#settled < this.#last && !this.#open.has(this.#settled + 1)) this.#settled++;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
