import { expect, test } from "vitest";
import { bytesText, clockText, short, sparkline } from "./figures.ts";

test.each([
  [0, "0"],
  [7, "7"],
  [999, "999"],
  [0.5, "0.500"],
  [999.6, "1.00 k"],
  [31_234, "31.2 k"],
  [999_999, "1.00 M"],
  [2.7e6, "2.70 M"],
  [Number.NaN, "–"],
])("short(%s) is %s", (value, text) => {
  expect(short(value)).toBe(text);
});

test.each([
  [12, "12 B"],
  [58_200_000, "58.2 MB"],
])("bytesText(%s) is %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [0, "0:00"],
  [65.4, "1:05"],
  [3725, "1:02:05"],
  [-3, "0:00"],
])("clockText(%s) is %s", (seconds, text) => {
  expect(clockText(seconds)).toBe(text);
});

test("sparkline() spans its range, and a flat line lies at the bottom", () => {
  expect(sparkline([1, 2, 3, 8])).toBe("▁▂▃█");
  expect(sparkline([5, 5])).toBe("▁▁");
  expect(sparkline([])).toBe("");
});
