import { expect, test } from "vitest";
import { bytesText, clockText, grouped, metricText, percentText, plural, short } from "./figures.ts";

test.each([
  [0, "0"],
  [7, "7"],
  [999, "999"],
  [0.5, "0.500"],
  [1.5, "1.50"],
  [999.6, "1.00 k"],
  [31_234, "31.2 k"],
  [999_999, "1.00 M"],
  [2.7e6, "2.70 M"],
  [2e15, "2.00e3 T"],
  [2e-9, "2.00e-9"],
  [Number.NaN, "–"],
])("short(%s) is %s", (value, text) => {
  expect(short(value)).toBe(text);
});

test.each([
  [12, "12 B"],
  [512.4, "512 B"],
  [58_200_000, "58.2 MB"],
  [4e9, "4.00 GB"],
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

test.each([
  [0.127, "13 %"],
  [0.001, "< 1 %"],
  [0, "0 %"],
  [Number.NaN, "–"],
])("percentText(%s) is %s", (part, text) => {
  expect(percentText(part)).toBe(text);
});

test("figures of other kinds read as people expect", () => {
  expect(grouped(12_345_678)).toBe("12,345,678");
  expect(plural(1, "row")).toBe("1 row");
  expect(plural(1234, "row")).toBe("1,234 rows");
  expect(plural(2, "reply", "replies")).toBe("2 replies");
  expect(metricText(0.71234)).toBe("0.7123");
  expect(metricText(null)).toBe("–");
});
