import { expect, test } from "vitest";
import { TEXT } from "./text.ts";

test("counts by code are told most first, without those of nothing", () => {
  expect(TEXT.counts({ TOKEN_USED: 1, WRONG_ORIGIN: 0, TOO_MANY: 12_000 })).toBe("TOO_MANY 12.0 k, TOKEN_USED 1");
  expect(TEXT.counts({})).toBe("0");
  expect(TEXT.counts({ TOKEN_USED: 0 })).toBe("0");
});
