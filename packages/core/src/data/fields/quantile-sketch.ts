/**
 * Quantiles of more numbers than fit in memory: compactors as in Karnin, Lang and Liberty, "Optimal quantile
 * approximation in streams" (FOCS 2016), all of one size. A full compactor is sorted, and every other number of it, from
 * the first or the second by a coin, goes on to the next, where it stands for two.
 *
 * Exact up to 16,384 numbers. Beyond, the rank of a quantile is off by about 1/16,384 of the numbers (one standard
 * deviation; 0.05 % is eight of them) in any order of them, in 128 KB for each doubling of 16,384. The coin is
 * seeded, so the same numbers in the same order give the same quantiles.
 */
import { generatorOf, next, type Generator128 } from "./xoshiro.ts";

const NUMBERS_PER_LEVEL = 16_384;

export class QuantileSketch {
  readonly #levels: Level[] = [];
  readonly #random: Generator128 = generatorOf(0, 0);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @param value not NaN */
  add(value: number): void {
    this.#count++;
    this.#put(value, 0);
  }

  /** The value whose rank is floor(count · i / parts), for i from 1 to parts − 1, without repetitions, ascending. */
  edges(parts: number): number[] {
    const items = this.#levels.flatMap(({ values, length }, level) =>
      Array.from(values.subarray(0, length), (value) => ({ value, weight: 2 ** level })),
    );
    items.sort((a, b) => a.value - b.value);
    const edges: number[] = [];
    let ranked = 0;
    let at = 0;
    for (let i = 1; i < parts; i++) {
      const rank = Math.floor((this.#count * i) / parts);
      while (at < items.length && ranked + items[at]!.weight <= rank) ranked += items[at++]!.weight;
      const value = items[at]?.value;
      if (value !== undefined && value !== edges.at(-1)) edges.push(value);
    }
    return edges;
  }

  #put(value: number, depth: number): void {
    const level = (this.#levels[depth] ??= { values: new Float64Array(NUMBERS_PER_LEVEL), length: 0 });
    level.values[level.length++] = value;
    if (level.length < NUMBERS_PER_LEVEL) return;
    level.values.sort();
    level.length = 0;
    for (let i = next(this.#random) & 1; i < NUMBERS_PER_LEVEL; i += 2) this.#put(level.values[i]!, depth + 1);
  }
}

interface Level {
  values: Float64Array;
  length: number;
}
