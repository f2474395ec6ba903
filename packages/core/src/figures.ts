/** Numbers as people read them, on terminals and pages alike. */

const SI = ["", " k", " M", " G", " T"];

/** For what is not known. */
export const UNKNOWN = "–";

/** Three digits and a prefix: 31234 → "31.2 k". Whole numbers below 1,000 stay whole. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  if (Number.isInteger(value) && Math.abs(value) < 1000) return String(value);
  let power = 0;
  let rest = value;
  // 999.6 would round to 1000.
  while (Math.abs(rest) >= 999.5 && power < SI.length - 1) {
    rest /= 1000;
    power++;
  }
  return `${rest.toPrecision(3).replace("e+", "e")}${SI[power]}`;
}

export const bytesText = (bytes: number): string => `${short(Math.round(bytes))}${bytes < 999.5 ? " " : ""}B`;

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

/** 1, "row" → "1 row"; 1234, "row" → "1,234 rows". */
export const plural = (count: number, noun: string, nouns = `${noun}s`): string =>
  `${grouped(count)} ${count === 1 ? noun : nouns}`;

/** Of a part of 1: 0.127 → "13 %"; what is not quite nothing is "< 1 %". */
export function percentText(part: number): string {
  if (!Number.isFinite(part)) return UNKNOWN;
  if (part > 0 && part < 0.01) return "< 1 %";
  return `${Math.round(100 * part)} %`;
}

/** A loss or a metric: four digits. */
export const metricText = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value) ? UNKNOWN : value.toPrecision(4);
