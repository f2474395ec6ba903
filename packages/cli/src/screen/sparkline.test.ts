import { expect, test } from "vitest";
import { sparkline } from "./sparkline.ts";

test("sparkline() spans its range, and a flat line lies at the bottom", () => {
  expect(sparkline([1, 2, 3, 8])).toBe("▁▂▃█");
  expect(sparkline([5, 5])).toBe("▁▁");
  expect(sparkline([])).toBe("");
});
