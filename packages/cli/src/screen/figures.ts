/** Numbers as people read them. */

const SI = ["", " k", " M", " G", " T"];

/** Three digits and a prefix: 31234 → "31.2 k". Whole numbers below 1,000 stay whole. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1000) return String(value);
  let power = 0;
  let rest = value;
  // 999.6 would round to 1000.
  while (Math.abs(rest) >= 999.5 && power < SI.length - 1) {
    rest /= 1000;
    power++;
  }
  return `${rest.toPrecision(3).replace(/e\+?(-?\d+)$/, "e$1")}${SI[power]}`;
}

export const bytesText = (bytes: number): string => `${short(bytes)}${bytes < 999.5 ? " " : ""}B`;

/** 3725 → "1:02:05", 65 → "1:05". */
export function clockText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  const two = (n: number) => String(n).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/** 12345678 → "12,345,678". */
export const grouped = (value: number): string => value.toLocaleString("en-US");

export const plural = (count: number, noun: string, nouns = `${noun}s`): string =>
  `${grouped(count)} ${count === 1 ? noun : nouns}`;

const BARS = "▁▂▃▄▅▆▇█";

/** One character per value, the smallest at the bottom. */
export function sparkline(values: readonly number[]): string {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const scale = high > low ? (BARS.length - 1) / (high - low) : 0;
  return values.map((value) => BARS[Math.round((value - low) * scale)]).join("");
}
