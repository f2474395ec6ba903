const BARS = "▁▂▃▄▅▆▇█";

/** A curve in one line: one character per value, the smallest at the bottom. */
export function sparkline(values: readonly number[]): string {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const scale = high > low ? (BARS.length - 1) / (high - low) : 0;
  return values.map((value) => BARS[Math.round((value - low) * scale)]).join("");
}
