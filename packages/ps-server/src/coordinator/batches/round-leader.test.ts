/** When rounds of dense weights are called and committed, and what a lost or a new member changes. */
import { describe, expect, it } from "vitest";
import { average } from "@volary/core/consistency";
import type { DenseRoundsSpec } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import type { Control } from "@volary/core/wire";
import { RoundLeader } from "./round-leader.ts";

const JOB = 3;

function leading(every: DenseRoundsSpec["every"] = 2, members = [11, 12]) {
  const told = new Map<number, Control[]>();
  const committed: number[][] = [];
  const leader = new RoundLeader({
    job: JOB,
    spec: { every, outer: average(), compression: "float32" },
    toWorker: (worker, control) => told.set(worker, [...(told.get(worker) ?? []), control]),
    onCommitted: (batches) => committed.push([...batches]),
  });
  const take = (worker: number) => {
    const all = told.get(worker) ?? [];
    told.delete(worker);
    return all;
  };
  const done = (worker: number, batch: number, samples = 10) => leader.onDone({ worker, batch, samples });
  const held = (worker: number, term = 1, round = 1, now = 0) =>
    leader.onHeld(worker, { type: "round-held", job: JOB, term, round }, now);
  leader.beginTerm({ term: 1, members, now: 0 });
  return { leader, committed, take, done, held };
}

describe("a round", () => {
  it("is due after so many batches of each member, those that are out among them", () => {
    const { leader, done } = leading(2);
    done(11, 0);
    expect(leader.isDue({ out: 2, now: 0 })).toBe(false);
    expect(leader.isDue({ out: 3, now: 0 })).toBe(true);
  });

  it("is due after some time, once there is anything to average", () => {
    const { leader, done } = leading({ seconds: 2 });
    expect(leader.isDue({ out: 0, now: 5000 })).toBe(false);
    leader.onGiven(5000);
    leader.onGiven(6000);
    done(11, 0);
    expect(leader.isDue({ out: 1, now: 6999 })).toBe(false);
    expect(leader.isDue({ out: 1, now: 7000 })).toBe(true);
  });

  it("counts members by their samples, and is committed when all hold it", () => {
    const { leader, committed, take, done, held } = leading();
    done(11, 0, 30);
    done(12, 1, 10);
    leader.call(0);
    expect(take(12)).toEqual([{ type: "call-round", job: JOB, term: 1, round: 1, shares: [0.75, 0.25] }]);
    held(11);
    held(11);
    expect(committed).toEqual([]);
    held(12);
    expect(committed).toEqual([[0, 1]]);
    expect(take(12)).toEqual([{ type: "commit-round", job: JOB, term: 1, round: 1, newcomers: [] }]);
    expect([leader.isCalled, leader.hasWork, leader.rounds]).toEqual([false, false, 1]);
  });

  it("with one member works, too", () => {
    const { leader, committed, take, done, held } = leading(1, [11]);
    done(11, 0);
    leader.call(0);
    expect(take(11)).toMatchObject([{ shares: [1] }]);
    held(11);
    expect(committed).toEqual([[0]]);
  });
});

describe("a member that does not come to a round", () => {
  const { leftOutFirstMs, leftOutMsMin } = LIMITS;

  it("is named when that takes far too long, measured once there were some rounds", () => {
    const { leader, done, held } = leading(1, [11, 12, 13, 14]);
    for (let round = 1; round <= 8; round++) {
      done(11, round);
      leader.call(0);
      for (const worker of [11, 12, 13]) held(worker, 1, round, 100);
      expect(leader.tooLate(leftOutFirstMs)).toEqual([]);
      expect(leader.tooLate(leftOutFirstMs + 1)).toEqual([14]);
      held(14, 1, round, 100);
    }
    done(11, 9);
    leader.call(0);
    for (const worker of [12, 13, 14]) held(worker, 1, 9);
    expect(leader.tooLate(leftOutMsMin)).toEqual([]);
    expect(leader.tooLate(leftOutMsMin + 1)).toEqual([11]);
    leader.lose(11);
    leader.beginTerm({ term: 2, members: [12, 13, 14], now: 50_000 });
    held(12, 2, 9, 50_100);
    held(13, 2, 9, 50_100);
    expect(leader.tooLate(50_000 + leftOutMsMin)).toEqual([]); // the round is called anew
    expect(leader.tooLate(50_001 + leftOutMsMin)).toEqual([14]);
  });

  it("is not to blame where most lack the mean", () => {
    const { leader, done, held } = leading(1, [11, 12, 13]);
    done(11, 1);
    leader.call(0);
    held(11);
    expect(leader.tooLate(2 * leftOutFirstMs)).toEqual([]);
  });
});

describe("a lost member", () => {
  it("before the call takes its batches with it", () => {
    const { leader, committed, done, held, take } = leading();
    done(11, 0);
    done(12, 1);
    done(12, 2);
    expect(leader.lose(12)).toEqual([1, 2]);
    leader.beginTerm({ term: 2, members: [11], now: 0 });
    expect(leader.isDue({ out: 0, now: 0 })).toBe(false);
    done(11, 3);
    expect(leader.isDue({ out: 0, now: 0 })).toBe(true);
    leader.call(0);
    expect(take(11)).toMatchObject([{ term: 2, shares: [1] }]);
    held(11, 2);
    expect(committed).toEqual([[0, 3]]);
  });

  it("after some hold the round has it called again over the others, who hold it anew", () => {
    const { leader, committed, done, held, take } = leading(1, [11, 12, 13]);
    done(11, 0);
    done(12, 1, 30);
    done(13, 2);
    leader.call(0);
    held(11);
    held(12);
    expect(leader.lose(13)).toEqual([2]);
    take(11);
    leader.beginTerm({ term: 2, members: [11, 12], now: 0 });
    expect(take(11)).toEqual([{ type: "call-round", job: JOB, term: 2, round: 1, shares: [0.25, 0.75] }]);
    held(11, 1);
    held(12, 1);
    expect(committed).toEqual([]);
    held(11, 2);
    held(12, 2);
    expect(committed).toEqual([[0, 1]]);
  });

  it("that alone had trained leaves a round that changes nothing", () => {
    const { leader, committed, done, held, take } = leading();
    done(12, 1);
    leader.call(0);
    expect(leader.lose(12)).toEqual([1]);
    take(11);
    leader.beginTerm({ term: 2, members: [11], now: 0 });
    expect(take(11)).toMatchObject([{ type: "call-round", shares: [0] }]);
    held(11, 2);
    expect(committed).toEqual([[]]);
  });

  it("after the commit takes nothing with it", () => {
    const { leader, done, held } = leading();
    done(11, 0);
    done(12, 1);
    leader.call(0);
    held(11);
    held(12);
    expect(leader.lose(12)).toEqual([]);
  });

  it("that is the last with dense weights leaves none", () => {
    const { leader, done, held } = leading(1, [11]);
    done(11, 0);
    leader.call(0);
    held(11);
    leader.beginTerm({ term: 2, members: [11, 12], now: 0 });
    expect(leader.hasWeights).toBe(true);
    leader.lose(11);
    expect(leader.hasWeights).toBe(false);
  });
});

describe("a new member", () => {
  it("before the first round has the dense weights that the job began with", () => {
    const { leader } = leading(1, [11]);
    leader.beginTerm({ term: 2, members: [11, 12], now: 0 });
    expect(leader.isCurrent(12)).toBe(true);
  });

  it("later takes part in a round with nothing, and is current once it has the weights of the newest", () => {
    const { leader, take, done, held } = leading(1, [11]);
    done(11, 0);
    leader.call(0);
    held(11);
    leader.beginTerm({ term: 2, members: [11, 12], now: 0 });
    expect(leader.isCurrent(12)).toBe(false);
    done(11, 1);
    expect(leader.isDue({ out: 0, now: 0 })).toBe(true); // it counts for nobody's work
    take(11);
    leader.call(0);
    expect(take(12)).toMatchObject([{ round: 2, shares: [1, 0] }]);
    held(11, 2, 2);
    held(12, 2, 2);
    expect(take(12)).toMatchObject([{ type: "commit-round", round: 2, newcomers: [12] }]);
    leader.onDenseReady(12, { type: "dense-ready", job: JOB, round: 1 });
    expect(leader.isCurrent(12)).toBe(false);
    leader.onDenseReady(12, { type: "dense-ready", job: JOB, round: 2 });
    expect(leader.isCurrent(12)).toBe(true);
  });
});
