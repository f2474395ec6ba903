/**
 * One round of a reducer, which stands in an all-reduce for leaves that do not: it sums what they bring in the order
 * of their slots, brings that as its own, and hands them the result. A leaf sends and receives its values once, and no
 * other member waits for it.
 *
 * What happens when a leaf dies here: it is left out. Only slots that are named as accepted count, and the round
 * goes on without the others.
 */
import { assert, ProtocolError } from "../errors.ts";
import { KERNELS } from "./kernels.ts";

/** What a leaf brings. */
export interface LeafShare {
  slot: number;
  /** Its summed gradients: float32, shape [n]; copied. */
  sum: Float32Array;
  /** Samples they are of. */
  samples: number;
}

export type LeafEffect =
  /** Bring `sum`, float32, shape [n], to the all-reduce: it is of these slots, ascending, and so many samples. */
  | { kind: "contribute"; accepted: readonly number[]; sum: Float32Array; samples: number }
  /** Send a leaf the result. */
  | { kind: "deliver"; slot: number; result: Float32Array };

export class LeafReducer {
  readonly #n: number;
  readonly #slots: ReadonlySet<number>;
  readonly #shares = new Map<number, Omit<LeafShare, "slot">>();
  readonly #lost = new Set<number>();
  #state: "collecting" | "contributed" | "reduced" = "collecting";
  #late = 0;

  /**
   * @param slots of the leaves that shall take part
   * @param n floats of a share
   */
  constructor({ slots, n }: { slots: readonly number[]; n: number }) {
    this.#slots = new Set(slots);
    this.#n = n;
  }

  /** Shares that came after the reducer had brought its own: they count nowhere. */
  get late(): number {
    return this.#late;
  }

  /**
   * Takes a leaf's share. Repeats are ignored.
   *
   * @throws {ProtocolError} a share that no leaf of this round can have sent
   */
  take({ slot, sum, samples }: LeafShare): LeafEffect[] {
    if (!this.#slots.has(slot) || sum.length !== this.#n || !Number.isSafeInteger(samples) || samples < 0) {
      throw new ProtocolError(
        `a share of slot ${slot} with ${sum.length} floats of ${samples} samples does not fit a reducer of ` +
          `slots ${[...this.#slots].join(", ")} and ${this.#n} floats`,
      );
    }
    if (this.#shares.has(slot)) return [];
    if (this.#state !== "collecting") {
      this.#late++;
      return [];
    }
    this.#lost.delete(slot);
    this.#shares.set(slot, { sum: sum.slice(), samples });
    return this.#contributeWhenWhole();
  }

  /** A leaf is gone: what it brought counts, if it did, and nothing is sent to it. */
  lose(slot: number): LeafEffect[] {
    this.#lost.add(slot);
    return this.#contributeWhenWhole();
  }

  /** Waits for no one any more. */
  close(): LeafEffect[] {
    return this.#state === "collecting" ? [this.#contribution()] : [];
  }

  /** @param result of the all-reduce, shape [n] */
  reduced(result: Float32Array): LeafEffect[] {
    assert(this.#state !== "collecting", "a result came before this reducer had brought its share");
    if (this.#state === "reduced") return [];
    this.#state = "reduced";
    return [...this.#slots].filter((slot) => !this.#lost.has(slot)).map((slot) => ({ kind: "deliver", slot, result }));
  }

  #contributeWhenWhole(): LeafEffect[] {
    const isWhole = [...this.#slots].every((slot) => this.#shares.has(slot) || this.#lost.has(slot));
    return isWhole ? this.close() : [];
  }

  #contribution(): LeafEffect {
    this.#state = "contributed";
    const accepted = [...this.#shares.keys()].toSorted((a, b) => a - b);
    let sum: Float32Array | undefined;
    let samples = 0;
    for (const slot of accepted) {
      const share = this.#shares.get(slot)!;
      samples += share.samples;
      if (sum) KERNELS.addFloats(sum, share.sum);
      else sum = share.sum; // its own copy, and not asked for again
    }
    return { kind: "contribute", accepted, sum: sum ?? new Float32Array(this.#n), samples };
  }
}
