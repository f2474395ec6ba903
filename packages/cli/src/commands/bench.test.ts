import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { checkoutAbove } from "./bench.ts";

test("checkoutAbove() finds the checkout from any folder in it, and none elsewhere", () => {
  expect(checkoutAbove(import.meta.dirname)).toBe(path.resolve(import.meta.dirname, "../../../.."));
  expect(checkoutAbove(tmpdir())).toBeUndefined();
});
