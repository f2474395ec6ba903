import { expect, test } from "vitest";
import { memoryOf, replicasOf } from "./options.ts";

test("memoryOf() refuses what is no size, and sizes that no job fits in", () => {
  for (const text of ["", "g", "-1g", "8 gallons", "8gg", "1e9", "63m", "1000", "1k"]) {
    expect(() => memoryOf(text), text).toThrow("Give a size from 64m on, as 512m, 1.5g or 8g.");
  }
});

test("memoryOf() reads sizes in powers of 1024", () => {
  expect(memoryOf("64m")).toBe(64 * 2 ** 20);
  expect(memoryOf("8G")).toBe(8 * 2 ** 30);
  expect(memoryOf("1.5g")).toBe(1.5 * 2 ** 30);
  expect(memoryOf("8GiB")).toBe(8 * 2 ** 30);
  expect(memoryOf("512 MB")).toBe(512 * 2 ** 20);
  expect(memoryOf("2t")).toBe(2 * 2 ** 40);
  expect(memoryOf("134217728")).toBe(128 * 2 ** 20);
});

test("replicasOf() takes 1 to 8, and says that 1 keeps no second copy", () => {
  expect([replicasOf("1"), replicasOf("2"), replicasOf("8")]).toEqual([1, 2, 8]);
  for (const text of ["0", "9", "-1", "two", "1.5", ""])
    expect(() => replicasOf(text), text).toThrow("Give a whole number from 1 to 8; 1 keeps no second copy.");
});
