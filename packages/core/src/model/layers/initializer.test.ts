import { describe, expect, it } from "vitest";
import { initializerSpecSchema } from "../../table/table-spec.ts";
import { constant, normal, truncatedNormal, uniform, zeros } from "./initializer.ts";

describe("initializers", () => {
  it("are data with every number written out", () => {
    const specs = [uniform(), uniform({ max: 1 }), normal({ stddev: 2 }), truncatedNormal(), zeros(), constant(3)];
    expect(specs).toEqual([
      { kind: "uniform", min: -0.05, max: 0.05 },
      { kind: "uniform", min: -0.05, max: 1 },
      { kind: "normal", mean: 0, stddev: 2 },
      { kind: "truncated-normal", mean: 0, stddev: 0.05 },
      { kind: "zeros" },
      { kind: "constant", value: 3 },
    ]);
    for (const spec of specs) expect(initializerSpecSchema.parse(spec)).toEqual(spec);
  });

  it("refuse numbers that mean nothing", () => {
    expect(() => uniform({ min: 1, max: 0 })).toThrow(new RangeError("uniform(): min 1 is over max 0; swap them"));
    expect(() => normal({ stddev: -1 })).toThrow(new RangeError("normal(): stddev is -1; it must be 0 or more"));
    expect(() => constant(NaN)).toThrow(new RangeError("constant(): value is NaN; it must be a finite number"));
  });
});
