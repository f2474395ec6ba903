/**
 * A sum of doubles without any rounding, as Shewchuk's non-overlapping partial sums (Adaptive Precision
 * Floating-Point Arithmetic, 1997; Python's `fsum`), rounded once, at the end: so it depends on its terms alone, not
 * on their order or on who added them.
 */
export class ExactSum {
  /** They do not overlap and add up to the sum exactly. */
  readonly #partials: number[] = [];

  /** @param term finite */
  add(term: number): void {
    const partials = this.#partials;
    let x = term;
    let kept = 0;
    for (let i = 0; i < partials.length; i++) {
      const y = partials[i]!;
      const high = x + y;
      const low = Math.abs(x) < Math.abs(y) ? x - (high - y) : y - (high - x);
      if (low !== 0) partials[kept++] = low;
      x = high;
    }
    partials.length = kept;
    if (x !== 0) partials.push(x);
  }

  /** The sum, rounded once: to nearest, ties to even. */
  value(): number {
    const partials = this.#partials;
    let i = partials.length - 1;
    if (i < 0) return 0;
    let high = partials[i]!;
    let low = 0;
    while (i > 0 && low === 0) {
      const x = high;
      const y = partials[--i]!;
      high = x + y;
      low = y - (high - x);
    }
    // Halfway cases are decided by the sign of what lies below (as in CPython's fsum).
    if (i > 0 && low !== 0 && Math.sign(low) === Math.sign(partials[i - 1]!)) {
      const doubled = high + 2 * low;
      if (doubled - high === 2 * low) high = doubled;
    }
    return high;
  }

  /** Terms that add up to the sum exactly. */
  toJSON(): number[] {
    return [...this.#partials];
  }
}
