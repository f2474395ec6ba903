/** What many rounds say together. */

/** How a figure varied over the rounds of a run. */
export interface Spread {
  median: number;
  p10: number;
  p90: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), p10: quantile(values, 0.1), p90: quantile(values, 0.9) };
}

/** Of figures of the same rounds, round by round. */
export function ratios(of: readonly number[], to: readonly number[]): Spread {
  return spreadOf(of.map((value, i) => value / to[i]!));
}

/** Interpolates between the two nearest values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError("no values: there is no quantile of nothing");
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

export function spreadText({ median, p10, p90 }: Spread): string {
  return `${median.toPrecision(3)} (${p10.toPrecision(3)} – ${p90.toPrecision(3)})`;
}
