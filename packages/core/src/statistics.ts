/** What is usual among a few figures, and what stands out: by medians, which a few wild ones hardly move. */
import { LIMITS } from "./limits.ts";

/**
 * From where on a time stands out beside `times`: their median, and `LIMITS.lateDeviations` of their median absolute
 * deviations more.
 *
 * @param times at least one
 * @see Hampel, "The Influence Curve and Its Role in Robust Estimation", JASA 69, 1974
 */
export function unusuallyLong(times: readonly number[]): number {
  const usual = median(times);
  const deviation = median(times.map((time) => Math.abs(time - usual)));
  return usual + LIMITS.lateDeviations * deviation;
}

/** The value in the middle; of an even count the mean of the two that are. `values`: at least one. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Of an even count the lower of the two in the middle: of one trusted part and one that lies, that is the trusted one's. */
export function lowerMedian(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1]!;
}
