import fc from "fast-check";
import { expect, test } from "vitest";
import { cosOfPi, power } from "./portable-math.ts";

test("cosOfPi() is the cosine, to 1e-15", () => {
  for (let i = 0; i <= 10_000; i++)
    expect(Math.abs(cosOfPi(i / 10_000) - Math.cos((Math.PI * i) / 10_000))).toBeLessThan(1e-15);
  expect([cosOfPi(0), cosOfPi(0.5), cosOfPi(1)]).toEqual([1, 0, -1]);
});

test("power() is the power, as exact as a rounded logarithm allows", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-6, max: 10, noNaN: true }),
      fc.double({ min: 0, max: 50, noNaN: true }),
      (base, exponent) => {
        const wanted = base ** exponent;
        const bound = 1e-15 * (1 + Math.abs(Math.log(wanted)));
        expect(Math.abs(power(base, exponent) - wanted)).toBeLessThanOrEqual(bound * wanted);
      },
    ),
    { examples: [[0.0000023653189213576033, 49.999969316513656]] },
  );
});

test("power() ends where doubles end", () => {
  expect([power(0, 0), power(0, 2), power(1, 1e9), power(0.5, 1e6), power(2, 1e6)]).toEqual([1, 0, 1, 0, Infinity]);
});
