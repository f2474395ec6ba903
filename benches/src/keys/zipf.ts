/** Keys as they come in practice: few are asked for all the time, most hardly ever. */
import type { SeededRandom } from "@volary/core/testing";

/** Between that of words in text (1) and that of clicks on popular goods (1.1). */
const EXPONENT = 1.05;

/** From a number in [0, 1) to a rank below `keys`, by inversion of the distribution function of a Zipf law. */
export function zipfRanks(keys: number, exponent = EXPONENT): (uniform: number) => number {
  const cumulated = new Float64Array(keys);
  let sum = 0;
  for (let rank = 0; rank < keys; rank++) cumulated[rank] = sum += (rank + 1) ** -exponent;
  return (uniform) => {
    const wanted = uniform * sum;
    let low = 0;
    for (let high = keys - 1; low < high;) {
      const middle = (low + high) >>> 1;
      if (cumulated[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** The numbers below n in an order of the generator's (Fisher–Yates): says which key has which rank. */
export function permutation(n: number, random: SeededRandom): Uint32Array {
  const of = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = of[i]!;
    of[i] = of[j]!;
    of[j] = kept;
  }
  return of;
}
