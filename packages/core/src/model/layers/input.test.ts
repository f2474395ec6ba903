import { describe, expect, it } from "vitest";
import { dtypeOf, input, type InputArgs } from "./input.ts";

describe("input", () => {
  it("is a tfjs input of one value a sample that remembers the dtype tfjs lacks", () => {
    const route = input({ name: "route", dtype: "int64" });
    expect(route.shape).toEqual([null, 1]);
    expect(route.dtype).toBe("int32");
    expect(dtypeOf(route)).toBe("int64");
    expect(route.sourceLayer.name).toBe("route");
  });

  it("takes the shapes of tfjs: sequences and lists of keys, numbers of any rank, lists of weights", () => {
    const shapeOf = (args: InputArgs) => input(args).shape;
    expect(shapeOf({ name: "x", dtype: "string", shape: [20] })).toEqual([null, 20]);
    expect(shapeOf({ name: "x", dtype: "int64", shape: [null] })).toEqual([null, null]);
    expect(shapeOf({ name: "x", dtype: "float32", shape: [28, 28, 1] })).toEqual([null, 28, 28, 1]);
    expect(shapeOf({ name: "x", dtype: "float32", shape: [null] })).toEqual([null, null]);
  });

  it.each([[[]], [[0]], [[1.5]], [[3, null]], [[null, null]], [3], [["2"]]])("refuses the shape %j", (shape) => {
    expect(() => input({ name: "x", dtype: "float32", shape: shape as number[] })).toThrow(
      /input "x": shape (is )?.*(give the sizes of one sample|sizes are integers from 1)/,
    );
  });

  it("refuses keys of more than one size, and sequences over the limit", () => {
    expect(() => input({ name: "x", dtype: "int32", shape: [2, 3] })).toThrow(
      new TypeError(
        'input "x": int32 gives keys, which come one by one or in lists; its shape [2,3] has 2 sizes: give it one, as [20] or [null]',
      ),
    );
    expect(() => input({ name: "x", dtype: "int32", shape: [65_537] })).toThrow(
      /a sequence of 65537 keys; at most 65536 are allowed/,
    );
  });

  it("refuses an option it does not have", () => {
    expect(() => input({ name: "x", type: "int32" } as unknown as InputArgs)).toThrow(
      /input\(\): "type" is unknown; there are "name", "dtype", "shape"/,
    );
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
