/**
 * Which places of a {@link ColdStore} are taken: one bit each. Free ones are looked for from where the last search
 * ended (next fit), so they come in ascending order and in runs as long as there are, and are written together.
 */
const WORD_BITS = 32;
/** So that a place and its bits stay whole numbers for 32-bit arithmetic. */
const PLACES_MAX = 2 ** 31 - WORD_BITS;

export class ColdPlaces {
  /** Places that are taken. */
  count = 0;
  /** Places there have been: all below. */
  end = 0;
  #taken = new Uint32Array(0);
  #next = 0;

  /**
   * Takes `n` places: free ones first, new ones at the end for the rest.
   *
   * @param out takes them, ascending, from its start on
   * @throws {RangeError} more than 2^31 − 32 places
   */
  take(n: number, out: Uint32Array): void {
    const free = Math.min(n, this.end - this.count);
    if (this.end + n - free > PLACES_MAX) throw new RangeError(`a store of cold rows has at most ${PLACES_MAX} places`);
    let at = this.#next;
    for (let found = 0; found < free; at++) {
      if (at >= this.end) at = 0;
      while (this.#taken[at >>> 5]! === 0xffff_ffff) at = nextWord(at, this.end);
      if (this.has(at)) continue;
      out[found++] = at;
      this.#mark(at);
    }
    this.#next = at;
    this.#reserve(this.end + n - free);
    for (let i = free; i < n; i++) {
      out[i] = this.end;
      this.#mark(this.end++);
    }
    this.count += n;
    if (free > 1 && out[0]! > out[free - 1]!) out.subarray(0, n).sort();
  }

  /** Gives a taken place back. */
  free(place: number): void {
    this.#taken[place >>> 5]! &= ~(1 << (place & 31));
    this.count--;
  }

  has(place: number): boolean {
    return (this.#taken[place >>> 5]! & (1 << (place & 31))) !== 0;
  }

  /** Lists at most `max` taken places in `out`, ascending, from `from` on; returns how many. */
  list(from: number, max: number, out: Uint32Array): number {
    let n = 0;
    for (let place = from; place < this.end && n < max; place++) {
      if (this.#taken[place >>> 5] === 0) place |= WORD_BITS - 1;
      else if (this.has(place)) out[n++] = place;
    }
    return n;
  }

  bytes(): number {
    return this.#taken.byteLength;
  }

  #mark(place: number): void {
    this.#taken[place >>> 5]! |= 1 << (place & 31);
  }

  #reserve(places: number): void {
    const words = Math.ceil(places / WORD_BITS);
    if (words <= this.#taken.length) return;
    const taken = new Uint32Array(Math.max(words, Math.ceil(this.#taken.length * 1.5)));
    taken.set(this.#taken);
    this.#taken = taken;
  }
}

/** The first place of the next word, or of the first one. */
function nextWord(place: number, end: number): number {
  const next = (place | (WORD_BITS - 1)) + 1;
  return next >= end ? 0 : next;
}
