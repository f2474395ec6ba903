import { describe, expect, it } from "vitest";
import { Clocks } from "./clocks.ts";

/** Clocks of workers 1 to `count`, and batches that they take one after another. */
function clocksOf(count: number) {
  const clocks = new Clocks();
  for (let worker = 1; worker <= count; worker++) clocks.join(worker);
  let next = 0;
  const begin = (worker: number) => {
    clocks.begin(worker, next);
    return next++;
  };
  const work = (worker: number, { times = 1 } = {}) => {
    for (let time = 0; time < times; time++) clocks.finish(begin(worker));
  };
  return { clocks, begin, work };
}

describe("clocks", () => {
  it("know the slowest, and how far ahead anyone began", () => {
    const { clocks, begin, work } = clocksOf(2);
    work(1, { times: 3 });
    expect([clocks.begunBy(1), clocks.slowest, clocks.stalenessMax]).toEqual([3, 0, 2]);
    clocks.leave(2, []);
    expect(clocks.slowest).toBe(3);
    clocks.join(3);
    expect([clocks.begunBy(3), clocks.slowest]).toEqual([3, 3]);
    clocks.join(1); // it is here already
    clocks.finish(begin(1));
    clocks.level();
    expect([clocks.begunBy(1), clocks.begunBy(3), clocks.slowest]).toEqual([4, 4, 4]);
    clocks.finish(99); // of nobody
    expect(clocks.slowest).toBe(4);
  });

  it("stand at the oldest batch that is not finished, whichever are after it", () => {
    const { clocks, begin } = clocksOf(1);
    const batches = [begin(1), begin(1), begin(1)] as const;
    clocks.finish(batches[1]);
    expect(clocks.slowest).toBe(0);
    clocks.finish(batches[0]);
    expect(clocks.slowest).toBe(2);
    clocks.finish(batches[2]);
    expect(clocks.slowest).toBe(3);
  });

  it("hold others back by a slow worker's batch until it is applied, though another one trains it as well", () => {
    const { clocks, begin, work } = clocksOf(2);
    const late = begin(1);
    work(2, { times: 2 });
    clocks.beginAlso(2);
    expect([clocks.slowest, clocks.begunBy(2), clocks.stalenessMax]).toEqual([0, 3, 1]);
    clocks.finish(late);
    expect(clocks.slowest).toBe(1);
    clocks.rest(1);
    expect(clocks.slowest).toBe(3);
    work(2);
    clocks.join(1);
    expect([clocks.begunBy(1), clocks.slowest]).toEqual([4, 4]);
  });

  it("never fall, whoever rests, or is lost", () => {
    const { clocks, begin, work } = clocksOf(2);
    work(1, { times: 2 });
    const late = begin(2);
    clocks.rest(1);
    clocks.finish(late);
    clocks.rest(2);
    expect(clocks.slowest).toBe(1);
    clocks.join(1);
    expect([clocks.begunBy(1), clocks.slowest]).toEqual([2, 2]); // it was there before
    clocks.leave(1, []);
    clocks.leave(2, []);
    clocks.join(3);
    expect(clocks.begunBy(3)).toBe(2);
  });

  it("keep what a lost worker had begun and another one trains, and let go of what is begun anew", () => {
    const { clocks, begin, work } = clocksOf(2);
    const [kept, returned] = [begin(1), begin(1)];
    work(2, { times: 2 });
    clocks.leave(1, [returned]);
    expect(clocks.slowest).toBe(0);
    clocks.finish(kept);
    expect([clocks.slowest, clocks.begunBy(1)]).toEqual([2, 0]);
  });
});
