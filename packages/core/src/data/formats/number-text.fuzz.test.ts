import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { microsOf } from "../fields/instant.ts";
import { instantIn, int64In, isPlainInteger, numberIn } from "./number-text.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const numberOf = (text: string): number => numberIn(bytesOf(text), 0, text.length);

function wordsAs(parse: typeof int64In, text: string): bigint | undefined {
  const words = new Uint32Array(4).fill(7);
  if (!parse(bytesOf(text), 0, text.length, words, 2)) return undefined;
  return new BigInt64Array(words.buffer)[1];
}

const int64Of = (text: string) => wordsAs(int64In, text);
const instantOf = (text: string) => wordsAs(instantIn, text);

describe("numberIn()", () => {
  it.each([
    "",
    " ",
    "-",
    ".",
    "+.",
    "1e",
    "1e+",
    "e5",
    "1.2.3",
    "0x10",
    "1_000",
    "1,5",
    "Infinity",
    "1e999",
    "--1",
    "1 2",
  ])("finds no number in %j", (text) => {
    expect(numberOf(text)).toBeNaN();
  });

  it("gives the double that Number gives, for any decimal", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789".split("")), maxLength: 20 });
    const decimal = fc
      .tuple(fc.constantFrom("", "-", "+"), digits, fc.option(digits), fc.option(fc.integer({ min: -330, max: 310 })))
      .map(([sign, whole, fraction, exponent]) => {
        const mantissa = `${whole}${fraction === null ? "" : `.${fraction}`}`;
        return `${sign}${mantissa === "" || mantissa === "." ? "0" : mantissa}${exponent === null ? "" : `e${exponent}`}`;
      });
    fc.assert(
      fc.property(decimal, (text) => {
        const oracle = Number(text);
        expect(numberOf(text)).toBe(Number.isFinite(oracle) ? oracle : Number.NaN);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(numberOf(String(value))).toBe(Number(String(value)));
        expect(numberOf(` ${value}\t`)).toBe(Number(String(value)));
      }),
    );
  });
});

describe("int64In()", () => {
  it.each(["", "-", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "99999999999999999999", "0x1", "1 2"])(
    "finds no int64 in %j",
    (text) => {
      expect(int64Of(text)).toBeUndefined();
    },
  );

  it("is exact over the whole range", () => {
    for (const value of [
      0n,
      -1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      2n ** 53n + 1n,
      -(2n ** 32n),
      2n ** 32n,
      4_294_967_295n,
    ]) {
      expect(int64Of(String(value))).toBe(value);
    }
    const any = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.bigInt({ min: -(2n ** 34n), max: 2n ** 34n }),
    );
    fc.assert(
      fc.property(any, (value) => int64Of(String(value)) === value),
      { numRuns: 2000 },
    );
    expect(int64Of("+007")).toBe(7n);
  });

  it("tells ids from numbers by their shape", () => {
    for (const text of ["0", "12", "-3", "1234567890123456789"])
      expect(isPlainInteger(bytesOf(text), 0, text.length)).toBe(true);
    for (const text of ["007", "-0", "+1", "", "-", "1.5", "a"])
      expect(isPlainInteger(bytesOf(text), 0, text.length)).toBe(false);
  });
});

describe("instantIn()", () => {
  it.each([
    "2001-13-01",
    "2001-02-29",
    "2001-00-01",
    "2001-1-1",
    "2001-01-01T",
    "2001-01-01T10",
    "2001-01-01T24:00",
    "2001-01-01T10:60",
    "2001-01-01T10:00:00.",
    "2001-01-01T10:00:00.1234567",
    "2001-01-01T10:00+0100",
    "2001-01-01X10:00",
    "2001-01-01T10:00Zx",
  ])("finds no instant in %j", (text) => {
    expect(instantOf(text)).toBeUndefined();
  });

  it("agrees with microsOf, in any year, to the microsecond, in any zone", () => {
    const two = (max: number, min = 0) => fc.integer({ min, max }).map((value) => String(value).padStart(2, "0"));
    const instant = fc
      .tuple(
        fc.integer({ min: 1, max: 9999 }).map((year) => String(year).padStart(4, "0")),
        two(12, 1),
        two(28, 1),
        fc.option(
          fc.tuple(
            fc.constantFrom("T", " "),
            two(23),
            two(59),
            fc.option(fc.tuple(two(59), fc.option(fc.integer({ min: 0, max: 999_999 })))),
            fc.option(fc.tuple(fc.constantFrom("Z", "+", "-"), two(23), two(59))),
          ),
        ),
      )
      .map(([year, month, day, time]) => {
        if (time === null) return `${year}-${month}-${day}`;
        const [gap, hour, minute, second, zone] = time;
        const seconds = second === null ? "" : `:${second[0]}${second[1] === null ? "" : `.${second[1]}`}`;
        const offset = zone === null ? "" : zone[0] === "Z" ? "Z" : `${zone[0]}${zone[1]}:${zone[2]}`;
        return `${year}-${month}-${day}${gap}${hour}:${minute}${seconds}${offset}`;
      });
    fc.assert(
      fc.property(instant, (text) => instantOf(text) === microsOf(text)),
      { numRuns: 2000 },
    );
  });
});
