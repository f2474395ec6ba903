import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DatePart } from "../spec/data-spec.ts";
import { DATE_PART_SIZES, datePartsOf, microsOf } from "./instant.ts";

describe("microsOf()", () => {
  it.each([
    ["1970-01-01", 0n],
    ["2001-06-13T08:02", 992_419_320_000_000n],
    ["2001-06-13 08:02", 992_419_320_000_000n],
    ["2001-06-13T08:02:00Z", 992_419_320_000_000n],
    ["2001-06-13T10:02+02:00", 992_419_320_000_000n],
    ["1969-12-31T23:59:59.999999", -1n],
    ["2001-06-13T08:02:00.25", 992_419_320_250_000n],
  ])("reads %s, in UTC where it names no zone", (text, micros) => {
    expect(microsOf(text)).toBe(micros);
  });

  it.each([
    "",
    "yesterday",
    "2001-13-01",
    "2001-02-30",
    "2001-06-13T25:00",
    "13.6.2001",
    "2001-06-13T08:02:00.1234567",
  ])("refuses %j", (text) => {
    expect(() => microsOf(text)).toThrow(
      new RangeError(`instant "${text}" is not ISO 8601; write it as "2001-06-13T08:02" or "2001-06-13T08:02:00Z"`),
    );
  });
});

const naive: Record<DatePart, (date: Date) => number> = {
  hour: (date) => date.getUTCHours(),
  slot10: (date) => Math.floor((date.getUTCHours() * 60 + date.getUTCMinutes()) / 10),
  minuteOfDay: (date) => date.getUTCHours() * 60 + date.getUTCMinutes(),
  dayOfWeek: (date) => date.getUTCDay(),
  dayOfMonth: (date) => date.getUTCDate(),
  month: (date) => date.getUTCMonth() + 1,
};

describe("datePartsOf()", () => {
  // `Date` reaches ±8.64e15 ms, far beyond the ±2^53 µs that doubles hold.
  const someMicros = fc.oneof(
    fc.bigInt({ min: -8_640_000_000_000_000_000n, max: 8_640_000_000_000_000_000n }),
    fc.bigInt({ min: -2_000_000_000_000_000n, max: 2_000_000_000_000_000n }),
    fc.bigInt({ min: 2n ** 53n - 100_000_000n, max: 2n ** 53n + 100_000_000n }),
    fc.bigInt({ min: -100_000_000n, max: 100_000_000n }),
  );
  const floorMillis = (micros: bigint): number => Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n);

  it.each(Object.keys(DATE_PART_SIZES) as DatePart[])("gives the %s that Date gives, in UTC, at any time", (part) => {
    fc.assert(
      fc.property(fc.array(someMicros, { minLength: 1, maxLength: 30 }), (micros) => {
        const parts = datePartsOf(BigInt64Array.from(micros), part);
        expect([...parts]).toEqual(micros.map((at) => naive[part](new Date(floorMillis(at)))));
        for (const value of parts) expect(value).toBeLessThan(DATE_PART_SIZES[part]);
      }),
    );
  });
});
