import { expect, test } from "vitest";
import { movedBy, worstPlacedJoin } from "./joins.ts";

const before = [
  ["a", "b"],
  ["b", "a"],
  ["a", "b"],
  ["b", "a"],
  ["a", "b"],
  ["b", "a"],
];

test("movedBy() counts what moved at each place of the chain, over the joiner's fair share", () => {
  const after = [["c", "b"], ["c", "a"], ["c", "b"], ["b", "c"], ...before.slice(4)];
  expect(movedBy(before, after, "c")).toEqual({ overIdeal: 1.5, betweenOld: 0 });
});

test("movedBy() counts what old nodes got, but not another order of the same", () => {
  const three = before.map((chain, p) => (p === 0 ? ["a", "d"] : chain));
  const after = [["b", "a"], ["a", "b"], ...before.slice(2, 5), ["c", "b"]];
  expect(movedBy(three, after, "c")).toMatchObject({ betweenOld: 1 });
});

test("a join moves little and nothing between old nodes; without memory of the placement before, much", () => {
  const { overIdeal, betweenOld } = worstPlacedJoin({ memory: "previous" });
  expect(overIdeal).toBeLessThanOrEqual(1.25);
  expect(betweenOld).toBe(0);
  const forgetful = worstPlacedJoin({ memory: "none" });
  expect(forgetful.overIdeal).toBeGreaterThan(1.25);
  expect(forgetful.betweenOld).toBeGreaterThan(0);
});
