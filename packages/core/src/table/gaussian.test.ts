import fc from "fast-check";
import { expect, test } from "vitest";
import { cosTurn, radius, sinTurn } from "./gaussian.ts";

const CORNERS = [0, 1, 0x1fffffff, 0x20000000, 0x3fffffff, 0x40000000, 0x60000000, 0x80000000, 0xbfffffff, 0xfffffffe];
const word = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(...CORNERS, 0xffffffff));

test("radius(), cosTurn() and sinTurn() agree with Math to 1e-14", () => {
  fc.assert(
    fc.property(word, (u) => {
      const turn = (2 * Math.PI * u) / 2 ** 32;
      expect(Math.abs(radius(u) - Math.sqrt(-2 * Math.log((u + 1) / 2 ** 32)))).toBeLessThan(1e-14);
      expect(Math.abs(cosTurn(u) - Math.cos(turn))).toBeLessThan(1e-14);
      expect(Math.abs(sinTurn(u) - Math.sin(turn))).toBeLessThan(1e-14);
    }),
    { numRuns: 5000 },
  );
});

test("quarters of a turn are exact", () => {
  expect([0, 0x40000000, 0x80000000, 0xc0000000].map((v) => sinTurn(v) + 0)).toEqual([0, 1, 0, -1]);
  expect([0, 0x40000000, 0x80000000, 0xc0000000].map((v) => cosTurn(v) + 0)).toEqual([1, 0, -1, 0]);
});

test("the largest word has radius 0, the smallest 6.66", () => {
  expect(radius(0xffffffff)).toBe(0);
  expect(radius(0)).toBeCloseTo(6.66044, 5);
});
