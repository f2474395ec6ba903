import { describe, expect, it } from "vitest";
import { readText, valuesOf } from "./test-text.ts";

describe("libsvm", () => {
  it.each(["x 1:2", "1 2", "1 a:1", "1 1:b", "1 1:2 qid:x", "1 1:", "1 :1", "1,2 1:1"])("counts %j as bad", (line) => {
    const table = readText({ kind: "libsvm" }, `1 1:1\n${line}\n0 2:2\n`);
    expect(table.badRows.map(({ place }) => place)).toEqual(["t:2"]);
    expect(valuesOf(table, "indices")).toEqual([[1n], [], [2n]]);
    expect(valuesOf(table, "values")).toEqual([[1], [], [2]]);
    expect(valuesOf(table, "label")).toEqual([1, undefined, 0]);
  });

  it("reads labels, query ids, pairs and comments", () => {
    const table = readText({ kind: "libsvm" }, "+1 qid:3 7:0.5 9:-1e3 # from user 5:x\n-1\n");
    expect(valuesOf(table, "label")).toEqual([1, -1]);
    expect(valuesOf(table, "qid")).toEqual([3n, undefined]);
    expect(valuesOf(table, "indices")).toEqual([[7n, 9n], []]);
    expect(valuesOf(table, "values")).toEqual([[0.5, -1000], []]);
    expect(table.badRows).toEqual([]);
  });
});
