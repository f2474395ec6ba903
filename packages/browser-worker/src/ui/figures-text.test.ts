import { expect, test } from "vitest";
import { bytesText, clockText, metricText, percentText, short } from "./figures-text.ts";

test.each([
  [0, "0"],
  [999, "999"],
  [1.5, "1.50"],
  [999.6, "1.00 k"],
  [31_234, "31.2 k"],
  [5e6, "5.00 M"],
  [2e15, "2.00e+3 T"],
  [NaN, "–"],
])("short(%d) is %j", (value, text) => {
  expect(short(value)).toBe(text);
});

test("figures of other kinds read as people expect", () => {
  expect(bytesText(512)).toBe("512 B");
  expect(bytesText(4e9)).toBe("4.00 GB");
  expect(clockText(65)).toBe("1:05");
  expect(clockText(3725)).toBe("1:02:05");
  expect(percentText(0.127)).toBe("13 %");
  expect(percentText(0.001)).toBe("< 1 %");
  expect(percentText(0)).toBe("0 %");
  expect(percentText(NaN)).toBe("–");
  expect(metricText(0.71234)).toBe("0.7123");
  expect(metricText(null)).toBe("–");
});
