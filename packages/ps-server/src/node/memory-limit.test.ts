import { describe, expect, it } from "vitest";
import { defaultMemoryMax, memoryMaxOf } from "./memory-limit.ts";

const GIB = 2 ** 30;

describe("memoryMaxOf()", () => {
  it("is three quarters of the machine's memory, where a control group has no limit or a larger one", () => {
    expect(memoryMaxOf({ machineBytes: 16 * GIB, constrainedBytes: 0 })).toBe(12 * GIB);
    expect(memoryMaxOf({ machineBytes: 16 * GIB, constrainedBytes: 2 ** 63 })).toBe(12 * GIB);
  });

  it("is three quarters of the control group's limit, where that is less", () => {
    expect(memoryMaxOf({ machineBytes: 16 * GIB, constrainedBytes: 2 * GIB })).toBe(1.5 * GIB);
  });

  it("of this machine is some whole number of pages", () => {
    expect(defaultMemoryMax()).toBeGreaterThan(0);
    expect(defaultMemoryMax() % 65_536).toBe(0);
  });
});
