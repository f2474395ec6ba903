/** Slices as long as workers are fast: how long that is, and when a new term makes them so. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { BalanceShares } from "./balance-shares.ts";
import { Cluster, commit, DATA, MANIFEST } from "./test-coordinator.ts";

/** Shares of workers 1, 2, …, of which each told twice that a sample takes so many milliseconds. */
function measured(msPerSample: readonly number[]): { balance: BalanceShares; members: number[] } {
  const balance = new BalanceShares();
  const members = msPerSample.map((ms, i) => {
    balance.heard(i + 1, { samples: 100, computeMs: 1e6 });
    balance.heard(i + 1, { samples: 100, computeMs: 100 * ms });
    return i + 1;
  });
  return { balance, members };
}

const sharesFor = (...msPerSample: number[]) => {
  const { balance, members } = measured(msPerSample);
  return balance.of(members);
};

describe("BalanceShares", () => {
  it("gives each worker as much as it is fast", () => {
    expect(sharesFor(1, 1, 1, 4)).toEqual([79, 79, 79, 20]);
    expect(sharesFor(1, 3)).toEqual([96, 32]);
  });

  it("leaves slices equal where that is about as good, or nothing is measured", () => {
    expect(sharesFor(1, 1, 1)).toBeUndefined();
    expect(sharesFor(1, 1.05, 0.98)).toBeUndefined();
    expect(new BalanceShares().of([1, 2])).toBeUndefined();
  });

  it("asks no worker for less than an eighth of the mean, nor for more than eight times as much", () => {
    const ms = fc.double({ min: 1e-4, max: 1e4, noNaN: true });
    fc.assert(
      fc.property(fc.array(ms, { minLength: 1, maxLength: 20 }), (all) => {
        const shares = sharesFor(...all);
        expect(shares ?? all.map(() => 64)).toHaveLength(all.length);
        for (const share of shares ?? []) {
          expect(Number.isInteger(share)).toBe(true);
          expect(share).toBeGreaterThanOrEqual(8);
          expect(share).toBeLessThanOrEqual(512);
        }
      }),
    );
  });

  it("counts a worker as the mean of the others until it has told of more than its first step", () => {
    const { balance, members } = measured([1, 3]);
    expect(balance.of([...members, 3])).toEqual([96, 32, 64]);
    balance.heard(3, { samples: 100, computeMs: 30_000 });
    expect(balance.of([...members, 3])).toEqual([96, 32, 64]);
    balance.heard(3, { samples: 100, computeMs: 300 });
    expect(balance.of([...members, 3])).not.toEqual([96, 32, 64]);
    balance.forget(3);
    expect(balance.of([...members, 3])).toEqual([96, 32, 64]);
  });

  it("takes no measure from a step without samples, or of no time", () => {
    const { balance, members } = measured([1, 3]);
    balance.heard(2, { samples: 0, computeMs: 500 });
    balance.heard(2, { samples: 500, computeMs: 0 });
    expect(balance.of(members)).toEqual([96, 32]);
  });

  it("changes nothing for the sake of noise", () => {
    const { balance, members } = measured([1, 1, 1, 4]);
    expect(balance.mayImprove({ members, shares: undefined }, 0)).toBe(true);
    const shares = balance.of(members);
    for (let turn = 1; turn <= 200; turn++) {
      for (const [i, ms] of [1, 1, 1, 4].entries())
        balance.heard(i + 1, { samples: 100, computeMs: 100 * ms * (1 + 0.08 * Math.sin(turn * (i + 1))) });
      expect(balance.mayImprove({ members, shares }, turn * LIMITS.sharesEveryMs)).toBe(false);
    }
  });

  it("changes where a step becomes shorter by a tenth, but not soon after it did", () => {
    const { balance, members } = measured([1, 1]);
    expect(balance.mayImprove({ members, shares: undefined }, 0)).toBe(false);
    for (let i = 0; i < 20; i++) balance.heard(1, { samples: 100, computeMs: 300 });
    expect(balance.mayImprove({ members, shares: undefined }, 0)).toBe(true);
    const shares = balance.of(members)!;
    expect(balance.mayImprove({ members, shares }, LIMITS.sharesEveryMs)).toBe(false);
    for (let i = 0; i < 20; i++) balance.heard(1, { samples: 100, computeMs: 100 });
    expect(balance.mayImprove({ members, shares }, LIMITS.sharesEveryMs - 1)).toBe(false);
    expect(balance.mayImprove({ members, shares }, LIMITS.sharesEveryMs)).toBe(true);
    expect(balance.of(members)).toBeUndefined();
  });

  it("waits until every member is measured", () => {
    const { balance, members } = measured([1, 4]);
    expect(balance.mayImprove({ members: [...members, 3], shares: undefined }, 0)).toBe(false);
  });
});

/** Two workers on a job of steps, the second three times as slow. */
function balanced(balance: boolean) {
  const c = new Cluster();
  const nodes = [c.ps("ps-1")];
  const [a, b] = [c.worker("a"), c.worker("b")];
  const fit = { ...MANIFEST.fit, consistency: { mode: "bsp", balance } } as const;
  const { client, job } = c.run(nodes, { ...MANIFEST, fit });
  c.ready(a.link, job);
  c.ready(b.link, job);
  for (const { link } of [a, b]) expect(c.told(link, "term").shares).toBeUndefined();
  const tell = (step: number, term = 1) => {
    c.say(a.link, { type: "step-times", job, term, step, samples: 50, computeMs: 50 });
    c.say(b.link, { type: "step-times", job, term, step, samples: 50, computeMs: 150 });
  };
  return { c, a, b, client, job, tell };
}

describe("a coordinator", () => {
  it("begins a term with other shares when workers turn out to be unequal, and keeps them with it", () => {
    const { c, a, b, client, job, tell } = balanced(true);
    tell(1);
    commit(c, a.link, job, 1);
    expect(c.types(a.link)).not.toContain("term");
    tell(2);
    for (const { link } of [a, b]) expect(c.told(link, "term")).toMatchObject({ term: 2, shares: [96, 32] });
    tell(3, 1); // of the term before
    tell(3, 2);
    expect(c.types(a.link)).not.toContain("term");
    c.say(client, { type: "commits-request", job });
    expect(c.told(client, "commits").terms).toEqual([
      { term: 1, members: [a.worker, b.worker] },
      { term: 2, members: [a.worker, b.worker], shares: [96, 32] },
    ]);
    const again = new Cluster({ records: c.records });
    const other = again.link();
    again.say(other, { type: "commits-request", job });
    expect(again.told(other, "commits").terms[1]!.shares).toEqual([96, 32]);
  });

  it("gives the members of any later term shares that fit, a newcomer as the mean", () => {
    const { c, a, b, job, tell } = balanced(true);
    tell(1);
    tell(2);
    const late = c.worker("c");
    c.ready(late.link, job, DATA);
    expect(c.told(late.link, "term")).toMatchObject({ term: 3, shares: [96, 32, 64] });
    c.close(b.link);
    c.told(a.link, "term");
    c.told(a.link, "term");
    expect(c.told(a.link, "term").shares).toBeUndefined(); // one is measured, the other counts as it
  });

  it("leaves slices equal where the job does not ask for it", () => {
    const { c, a, tell } = balanced(false);
    for (let step = 1; step <= 5; step++) tell(step);
    expect(c.types(a.link)).not.toContain("term");
  });
});
