import fc from "fast-check";
import { expect, test } from "vitest";
import { cutText, plainText, widthOf } from "./terminal-text.ts";

test("plainText() leaves no control character and no line end", () => {
  expect(plainText("a\u001b[31mb\r\nc\td\u009bm\u202e")).toBe("a\ufffd[31mb c d\ufffdm\ufffd");
});

test("widthOf() counts columns, not characters", () => {
  expect(widthOf("volary")).toBe(6);
  expect(widthOf("鳥の群れ")).toBe(8);
  expect(widthOf("e\u0301")).toBe(1);
  expect(widthOf("🐦")).toBe(2);
  expect(widthOf("👩‍👩‍👧")).toBe(2);
  expect(widthOf("█░▁…")).toBe(4);
});

test("cutText() never takes more columns than there are", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "鳥", "🐦", "é") }), fc.nat(20), (text, columns) => {
      const shown = cutText(text, columns);
      expect(widthOf(shown)).toBeLessThanOrEqual(columns);
      if (widthOf(text) <= columns) expect(shown).toBe(text);
    }),
  );
  expect(cutText("鳥の群れ", 6)).toBe("鳥の…");
  expect(cutText("bird", 0)).toBe("");
});
