/**
 * Points in time as the data holds them: int64 microseconds since 1970-01-01T00:00 UTC. The calendar is the
 * proleptic Gregorian one, in UTC, by integer arithmetic (Howard Hinnant, "chrono-compatible low-level date
 * algorithms", https://howardhinnant.github.io/date_algorithms.html), never by the machine's time zone.
 */
import type { DatePart } from "../spec/data-spec.ts";

const MINUTE_MICROS = 60_000_000;
const MINUTES_PER_DAY = 1440;

const ISO_8601 =
  /^(?<date>\d{4}-\d\d-\d\d)(?:[T ](?<time>\d\d:\d\d)(?::(?<seconds>\d\d)(?:\.(?<fraction>\d{1,6}))?)?(?<zone>Z|[+-]\d\d:\d\d)?)?$/;

/**
 * Parses ISO 8601 to microseconds; UTC where the text names no zone (`Date.parse` would take the machine's).
 *
 * @throws {RangeError} not ISO 8601, or no such day
 */
export function microsOf(instant: string): bigint {
  const parts = ISO_8601.exec(instant)?.groups;
  const date = parts?.["date"] ?? "";
  const minute = parts?.["time"] ?? "00:00";
  const second = parts?.["seconds"] ?? "00";
  const zone = parts?.["zone"] ?? "Z";
  const millis = Date.parse(`${date}T${minute}:${second}${zone}`);
  const dayExists = !Number.isNaN(millis) && new Date(Date.parse(`${date}T00:00Z`)).toISOString().startsWith(date);
  if (parts === undefined || !dayExists) {
    throw new RangeError(
      `instant "${instant}" is not ISO 8601; write it as "2001-06-13T08:02" or "2001-06-13T08:02:00Z"`,
    );
  }
  return BigInt(millis) * 1000n + BigInt((parts["fraction"] ?? "").padEnd(6, "0"));
}

/** How many values a part of a date can take, counted from 0; values lie below it. */
export const DATE_PART_SIZES = {
  hour: 24,
  slot10: 144,
  minuteOfDay: 1440,
  dayOfWeek: 7,
  dayOfMonth: 32,
  month: 13,
} as const satisfies Record<DatePart, number>;

/**
 * The part of every instant: hour 0–23, slot10 0–143, minuteOfDay 0–1439, dayOfWeek 0–6 from Sunday (as
 * `Date.getUTCDay`), dayOfMonth 1–31, month 1–12.
 */
export function datePartsOf(micros: BigInt64Array, part: DatePart): Uint16Array {
  const words = new Int32Array(micros.buffer, micros.byteOffset, 2 * micros.length);
  const parts = new Uint16Array(micros.length);
  let lastDay = Number.NaN;
  let lastOfDay = 0;
  for (let row = 0; row < micros.length; row++) {
    // High word × 2^32 + low word: exact within ±2^53 µs, the years 1684 to 2255; BigInt only beyond.
    const high = words[2 * row + 1]!;
    const minutes =
      high >= -0x20_0000 && high < 0x20_0000
        ? Math.floor((high * 0x1_0000_0000 + (words[2 * row]! >>> 0)) / MINUTE_MICROS)
        : minutesOfBigInt(micros[row]!);
    const day = Math.floor(minutes / MINUTES_PER_DAY);
    if (part === "hour" || part === "slot10" || part === "minuteOfDay") {
      parts[row] = partOfMinute(minutes - day * MINUTES_PER_DAY, part);
      continue;
    }
    if (day !== lastDay) {
      lastDay = day;
      lastOfDay = partOfDay(day, part);
    }
    parts[row] = lastOfDay;
  }
  return parts;
}

function minutesOfBigInt(micros: bigint): number {
  const minute = BigInt(MINUTE_MICROS);
  const down = micros / minute;
  return Number(micros < 0n && down * minute !== micros ? down - 1n : down);
}

function partOfMinute(minute: number, part: "hour" | "slot10" | "minuteOfDay"): number {
  switch (part) {
    case "hour":
      return Math.trunc(minute / 60);
    case "slot10":
      return Math.trunc(minute / 10);
    case "minuteOfDay":
      return minute;
    default:
      return part satisfies never;
  }
}

/** `day` counts from 1970-01-01, a Thursday. */
function partOfDay(day: number, part: "dayOfWeek" | "dayOfMonth" | "month"): number {
  if (part === "dayOfWeek") return (((day + 4) % 7) + 7) % 7;
  // Hinnant's civil_from_days: eras of 400 years, years that begin in March.
  const shifted = day + 719_468;
  const dayOfEra = shifted - Math.floor(shifted / 146_097) * 146_097;
  const yearOfEra = Math.trunc(
    (dayOfEra - Math.trunc(dayOfEra / 1460) + Math.trunc(dayOfEra / 36_524) - Math.trunc(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.trunc(yearOfEra / 4) - Math.trunc(yearOfEra / 100));
  const monthFromMarch = Math.trunc((5 * dayOfYear + 2) / 153);
  if (part === "dayOfMonth") return dayOfYear - Math.trunc((153 * monthFromMarch + 2) / 5) + 1;
  return monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
}
