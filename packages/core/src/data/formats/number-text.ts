/**
 * Numbers, 64-bit integers and points in time out of the bytes of their text, without making strings: most of a
 * table is numbers, and a string per cell would cost more than all the rest of reading it.
 *
 * Doubles are exact: up to 15 digits and a power of ten up to 22 one correctly rounded operation gives the nearest
 * double (W. Clinger, "How to read floating point numbers accurately", PLDI 1990, §3); what is longer goes through
 * `Number`.
 */

const ZERO = 48;
const MINUS = 45;
const PLUS = 43;
const POINT = 46;
const COLON = 58;
const TWO_32 = 0x1_0000_0000;
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
/** Digits of a mantissa that a double surely holds. */
const EXACT_DIGITS = 15;

/**
 * The number whose decimal text is `bytes[from, to)`, as "-1.5e3"; blanks around it are allowed.
 *
 * @returns NaN where the text is no finite number
 */
export function numberIn(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  let end = to;
  while (at < end && isBlank(bytes[at]!)) at++;
  while (end > at && isBlank(bytes[end - 1]!)) end--;
  const start = at;
  const sign = at < end ? bytes[at]! : 0;
  if (sign === MINUS || sign === PLUS) at++;
  let mantissa = 0;
  let digits = 0;
  let scale = 0;
  for (; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) break;
    mantissa = mantissa * 10 + digit;
    digits++;
  }
  if (at < end && bytes[at] === POINT) {
    const point = ++at;
    for (; at < end; at++) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      mantissa = mantissa * 10 + digit;
    }
    scale = point - at;
    digits += at - point;
  }
  if (digits === 0) return Number.NaN;
  if (at < end) {
    if ((bytes[at]! | 0x20) !== 0x65) return Number.NaN;
    at++;
    const isDown = at < end && bytes[at] === MINUS;
    if (isDown || (at < end && bytes[at] === PLUS)) at++;
    if (at === end) return Number.NaN;
    let exponent = 0;
    for (; at < end; at++) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) return Number.NaN;
      exponent = Math.min(exponent * 10 + digit, 100_000);
    }
    scale += isDown ? -exponent : exponent;
  }
  if (digits > EXACT_DIGITS || scale < -22 || scale > 22) return finiteOrNaN(Number(asciiIn(bytes, start, end)));
  const size = scale < 0 ? mantissa / POWERS_OF_TEN[-scale]! : mantissa * POWERS_OF_TEN[scale]!;
  return sign === MINUS ? -size : size;
}

/** Whether `bytes[from, to)` says "nan" in any case, as several writers put for a missing number. */
export function isNanText(bytes: Uint8Array, from: number, to: number): boolean {
  return (
    to - from === 3 &&
    (bytes[from]! | 0x20) === 0x6e &&
    (bytes[from + 1]! | 0x20) === 0x61 &&
    (bytes[from + 2]! | 0x20) === 0x6e
  );
}

/**
 * Writes the 64-bit integer whose text is `bytes[from, to)` as two little-endian words, exact over the whole range;
 * blanks around it are allowed.
 *
 * @returns false where the text is no integer within −2^63 … 2^63 − 1
 */
export function int64In(bytes: Uint8Array, from: number, to: number, words: Uint32Array, word: number): boolean {
  let at = from;
  let end = to;
  while (at < end && isBlank(bytes[at]!)) at++;
  while (end > at && isBlank(bytes[end - 1]!)) end--;
  const isNegative = at < end && bytes[at] === MINUS;
  if (isNegative || (at < end && bytes[at] === PLUS)) at++;
  if (at === end) return false;
  while (at < end - 1 && bytes[at] === ZERO) at++;
  if (end - at > 19) return false;
  // The last nine digits, and what stands before them: both are exact doubles.
  const cut = Math.max(at, end - 9);
  const high = digitsIn(bytes, at, cut);
  const low = digitsIn(bytes, cut, end);
  if (high < 0 || low < 0) return false;
  // high × 10^9 + low in base 2^32, by way of base 2^16: every product stays below 2^53.
  const upper = Math.floor(high / 0x1_0000) * 1e9;
  const lower = (high % 0x1_0000) * 1e9 + low;
  const sum = (upper % 0x1_0000) * 0x1_0000 + lower;
  const lowWord = sum % TWO_32;
  const highWord = Math.floor(upper / 0x1_0000) + Math.floor(sum / TWO_32);
  if (highWord >= 0x8000_0000 && !(isNegative && highWord === 0x8000_0000 && lowWord === 0)) return false;
  writeWords(words, word, isNegative, lowWord, highWord);
  return true;
}

/** Whether the text is an integer that has no sign but "-" and no leading zero: what a column of ids looks like. */
export function isPlainInteger(bytes: Uint8Array, from: number, to: number): boolean {
  const at = bytes[from] === MINUS ? from + 1 : from;
  if (at === to || (bytes[at] === ZERO && to - at > 1) || (bytes[at] === ZERO && at > from)) return false;
  return digitsIn(bytes, at, Math.min(to, at + 15)) >= 0 && (to - at <= 15 || digitsIn(bytes, at + 15, to) >= 0);
}

/**
 * Writes the microseconds since 1970 of the ISO 8601 text `bytes[from, to)`, as "2001-06-13T08:02:30.5Z" with a "T"
 * or a blank; UTC where it names no zone, midnight where it names no time. The same grammar as `microsOf`.
 *
 * @returns false where the text is no such instant
 */
export function instantIn(bytes: Uint8Array, from: number, to: number, words: Uint32Array, word: number): boolean {
  if (to - from < 10 || bytes[from + 4] !== MINUS || bytes[from + 7] !== MINUS) return false;
  const year = digitsIn(bytes, from, from + 4);
  const month = digitsIn(bytes, from + 5, from + 7);
  const day = digitsIn(bytes, from + 8, from + 10);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return false;
  let seconds = daysSince1970(year, month, day) * 86_400;
  let micros = 0;
  let at = from + 10;
  if (at < to) {
    if ((bytes[at] !== 0x54 && bytes[at] !== 0x20) || to - at < 6 || bytes[at + 3] !== COLON) return false;
    const hour = digitsIn(bytes, at + 1, at + 3);
    const minute = digitsIn(bytes, at + 4, at + 6);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return false;
    seconds += hour * 3600 + minute * 60;
    at += 6;
    if (at < to && bytes[at] === COLON) {
      const second = to - at < 3 ? -1 : digitsIn(bytes, at + 1, at + 3);
      if (second < 0 || second > 59) return false;
      seconds += second;
      at += 3;
      if (at < to && bytes[at] === POINT) {
        const first = at + 1;
        for (at = first; at < to && bytes[at]! >= ZERO && bytes[at]! <= ZERO + 9; at++);
        if (at === first || at - first > 6) return false;
        micros = digitsIn(bytes, first, at) * POWERS_OF_TEN[6 - (at - first)]!;
      }
    }
    if (at < to && bytes[at] === 0x5a) at++;
    else if (at < to) {
      const isEast = bytes[at] === PLUS;
      if ((!isEast && bytes[at] !== MINUS) || to - at !== 6 || bytes[at + 3] !== COLON) return false;
      const hours = digitsIn(bytes, at + 1, at + 3);
      const minutes = digitsIn(bytes, at + 4, at + 6);
      if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
      seconds += (isEast ? -60 : 60) * (hours * 60 + minutes);
      at += 6;
    }
    if (at !== to) return false;
  }
  writeMicros(words, word, seconds, micros);
  return true;
}

function asciiIn(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

/** seconds × 10^6 + micros, which leaves the exact doubles beyond the year 2255. */
function writeMicros(words: Uint32Array, word: number, seconds: number, micros: number): void {
  const total = seconds * 1e6 + micros;
  if (Number.isSafeInteger(total)) {
    words[word] = total;
    words[word + 1] = Math.floor(total / TWO_32);
    return;
  }
  const exact = BigInt.asUintN(64, BigInt(seconds) * 1_000_000n + BigInt(micros));
  words[word] = Number(exact & 0xffff_ffffn);
  words[word + 1] = Number(exact >> 32n);
}

function writeWords(words: Uint32Array, word: number, isNegative: boolean, low: number, high: number): void {
  words[word] = isNegative ? -low : low;
  words[word + 1] = isNegative ? -high - (low === 0 ? 0 : 1) : high;
}

/** −1 where a byte is no digit; exact up to 15 digits. */
function digitsIn(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function daysOf(year: number, month: number): number {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && isLeap ? 29 : MONTH_DAYS[month - 1]!;
}

/** Hinnant's days_from_civil: eras of 400 years, years that begin in March. */
function daysSince1970(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.trunc((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.trunc(yearOfEra / 4) - Math.trunc(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09;

const finiteOrNaN = (value: number): number => (Number.isFinite(value) ? value : Number.NaN);
