import { expect, test } from "vitest";
import { Silences } from "./silences.ts";

test("a worker is silent for 5 s at most, however many faults that takes", () => {
  let now = 0;
  const silences = new Silences(() => now);
  expect(silences.begin("worker", 5001)).toBe(false);
  expect(silences.begin("worker", 3000)).toBe(true);
  now = 2000;
  expect(silences.begin("worker", 3001)).toBe(false);
  expect(silences.begin("worker", 3000)).toBe(true);
  expect(silences.begin("other", 5000)).toBe(true);
});

test("it must have been heard in between", () => {
  let now = 0;
  const silences = new Silences(() => now);
  silences.begin("worker", 4000);
  now = 5400;
  expect(silences.begin("worker", 4000)).toBe(false);
  now = 5501;
  expect(silences.begin("worker", 4000)).toBe(true);
});
