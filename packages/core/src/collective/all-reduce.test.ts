import { describe, expect, test } from "vitest";
import { algorithmOf, allReduce, type ReduceForm } from "./all-reduce.ts";
import { stateHash } from "./state-hash.ts";
import { exactSum, gaussians, relativeError, runRound } from "./test-ranks.ts";

describe("algorithmOf()", () => {
  const of = (size: number, n: number, form: ReduceForm = "float32") => algorithmOf({ size, n, form, owned: false });

  test("exchanges all values where messages cost more than their bytes", () => {
    for (const size of [1, 2, 3, 4, 5, 8, 16]) {
      expect(of(size, 0)).toBe("doubling");
      expect(of(size, 1000)).toBe("doubling");
      expect(of(size, 1000, "int8")).toBe("doubling");
    }
    for (const size of [4, 8, 16]) expect(of(size, 1000, { topK: 0.1 })).toBe("doubling");
  });

  test("goes around a ring where bytes are what costs", () => {
    for (const size of [2, 3, 4, 5, 8, 16]) {
      expect(of(size, 4_000_000)).toBe("ring");
      expect(of(size, 4_000_000, "int8")).toBe("ring");
      expect(of(size, 4_000_000, { topK: 0.01 })).toBe("top-k");
    }
  });

  test("keeps to a form sooner than it saves messages", () => {
    expect(of(4, 27_000)).toBe("doubling");
    expect(of(4, 27_000, "int8")).toBe("ring");
  });

  test("an owner of its part is always in a ring", () => {
    expect(algorithmOf({ size: 3, n: 10, owned: true })).toBe("ring");
  });
});

test("allReduce() has the same bits on all ranks, near the exact sum, by any algorithm", () => {
  const drawn = [1, 2, 3].map((seed) => gaussians(50_000, seed));
  for (const { form, n, error } of [
    { form: undefined, n: 100, error: 1e-6 },
    { form: "int8", n: 100, error: 1e-6 },
    { form: undefined, n: 50_000, error: 1e-6 },
    { form: "bfloat16", n: 50_000, error: 0.005 },
    { form: "int8", n: 50_000, error: 0.02 },
    { form: { topK: 0.3 }, n: 50_000, error: 0.6 },
  ] as const) {
    const inputs = drawn.map((values) => values.subarray(0, n));
    const data = inputs.map((input) => input.slice());
    runRound(data.map((data, rank) => allReduce({ rank, size: 3, data, form })));
    expect(new Set(data.map(stateHash)).size).toBe(1);
    expect(relativeError(data[0]!, exactSum(inputs))).toBeLessThan(error);
  }
});
