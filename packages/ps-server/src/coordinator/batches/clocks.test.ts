import { expect, it } from "vitest";
import { Clocks } from "./clocks.ts";

it("clocks know the slowest, and how far ahead anyone began", () => {
  const clocks = new Clocks();
  expect(clocks.slowest).toBe(0);
  clocks.join(1);
  clocks.join(2);
  for (let times = 0; times < 3; times++) {
    clocks.begin(1);
    clocks.finish(1);
  }
  expect([clocks.begunBy(1), clocks.slowest, clocks.stalenessMax]).toEqual([3, 0, 2]);
  clocks.leave(2);
  expect(clocks.slowest).toBe(3);
  clocks.join(3);
  expect([clocks.begunBy(3), clocks.slowest]).toEqual([3, 3]);
  clocks.join(1); // it is here already
  clocks.begin(1);
  clocks.level();
  expect([clocks.begunBy(1), clocks.begunBy(3), clocks.slowest]).toEqual([4, 4, 4]);
  clocks.finish(1); // of a batch that did not count any more
  expect(clocks.slowest).toBe(4);
});
