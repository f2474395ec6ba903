import { describe, expect, it } from "vitest";
import { dtypeOf, input } from "./input.ts";

describe("input", () => {
  it("is a tfjs input of one value a sample that remembers the dtype tfjs lacks", () => {
    const route = input({ name: "route", dtype: "int64" });
    expect(route.shape).toEqual([null, 1]);
    expect(route.dtype).toBe("int32");
    expect(dtypeOf(route)).toBe("int64");
    expect(route.sourceLayer.name).toBe("route");
  });

  it("refuses an unknown dtype, with the nearest", () => {
    expect(() => input({ name: "x", dtype: "int_64" as "int64" })).toThrow(
      new TypeError(
        'input "x": dtype is "int_64"; use one of "string", "int32", "int64", "float32". Did you mean "int64"?',
      ),
    );
  });

  it("refuses a name that tfjs cannot take", () => {
    expect(() => input({ name: "day of week", dtype: "int32" })).toThrow(RangeError);
    expect(() => input({ name: "", dtype: "int32" })).toThrow(/input name "": tfjs takes letters/);
  });
});
