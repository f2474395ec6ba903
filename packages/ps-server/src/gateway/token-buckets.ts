/**
 * How often something may be done: a bucket of permits that fills at a steady rate, and from which each try takes some.
 *
 * @see Turner, "New directions in communications (or which way to the information age?)", IEEE Communications 1986
 */

export interface Rate {
  perSecond: number;
  /** What a full bucket holds. */
  burst: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  #level: number;
  #at: number;

  /** Full. @param now milliseconds */
  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#at = now;
  }

  /** Takes so many permits; false, and none is taken, where there are fewer. */
  take(permits: number, now: number): boolean {
    const { perSecond, burst } = this.#rate;
    this.#level = Math.min(burst, this.#level + ((now - this.#at) / 1000) * perSecond);
    this.#at = now;
    if (this.#level < permits) return false;
    this.#level -= permits;
    return true;
  }
}

/** A bucket for each key; of the keys, those that tried last are remembered. */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #keysMax: number;
  /** In the order of their last tries. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: Rate, { keysMax }: { keysMax: number }) {
    this.#rate = rate;
    this.#keysMax = keysMax;
  }

  get size(): number {
    return this.#buckets.size;
  }

  take(key: string, now: number): boolean {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#rate, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#keysMax) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket.take(1, now);
  }
}
