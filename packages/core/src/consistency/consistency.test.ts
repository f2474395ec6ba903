/** What each mode promises, asked of its object as those who train ask it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../limits.ts";
import {
  asp,
  average,
  bsp,
  consistencyOf,
  consistencySpecSchema,
  localSgd,
  nesterov,
  ssp,
  withDense,
  type ConsistencySpec,
} from "./index.ts";

const MODES: ConsistencySpec[] = [
  bsp(),
  bsp({ balance: true }),
  bsp({ balance: false }),
  bsp({ quorum: 0.75 }),
  ssp({ stalenessSteps: 0 }),
  ssp({ stalenessSteps: 8 }),
  asp(),
  localSgd({ every: 30 }),
  localSgd({ every: { seconds: 2.5 }, outer: nesterov(0.7, 0.9), compression: "int8" }),
];

describe("a mode", () => {
  it.each(MODES)("is data, which travels as it is: %j", (spec) => {
    expect(consistencySpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
    expect(Object.values(spec)).not.toContain(undefined);
  });

  it.each(MODES)("that has steps known to all lets its PS close and apply them, and no other does: %j", (spec) => {
    const mode = consistencyOf(spec);
    const slots = 4;
    const closes = [0, 1, 3, 4].map((slotsIn) => mode.closesStep({ slotsIn, slots }));
    expect(closes).toEqual([false, false, false, mode.work === "steps"]);
    if (mode.work === "steps") expect(mode).toMatchObject({ gradients: "at-commit", dense: "all-reduce" });
    expect(mode.rounds !== undefined).toBe(mode.dense === "rounds");
    if (mode.isBalanced) expect(mode.work).toBe("steps");
  });

  it.each(MODES)("in which rows may be older lets workers pull them early and keep them, and no other: %j", (spec) => {
    const mode = consistencyOf(spec);
    if (mode.gradients === "at-commit") {
      expect([mode.keepsRowsFor, mode.batchesAtATime]).toEqual([0, 1]);
      expect(mode.mayPull({ wanted: 5, committed: 3 })).toBe(false);
      expect(mode.mayPull({ wanted: 5, committed: 4 })).toBe(true);
    } else {
      expect(mode.batchesAtATime).toBeGreaterThan(1);
      expect(mode.mayPull({ wanted: 5, committed: 0 })).toBe(true);
    }
  });
});

describe("bsp()", () => {
  it("waits for all, and balances only where it is asked to", () => {
    expect(consistencyOf(bsp())).toMatchObject({ work: "steps", isBalanced: false, onLate: "wait" });
    expect(consistencyOf(bsp({ balance: true }))).toMatchObject({ work: "steps", isBalanced: true, onLate: "wait" });
    expect(consistencyOf(bsp({ balance: false }))).toEqual(consistencyOf(bsp()));
  });

  it("with a quorum closes once that share of the members' slots is in, or all that there are", () => {
    const mode = consistencyOf(bsp({ quorum: 0.75 }));
    expect(mode).toMatchObject({ work: "batches", dense: "ps", gradients: "at-commit", onLate: "drop" });
    const closesAt = (members: number, expected: number) =>
      [0, 1, 2, 3, 4].find((arrived) => mode.mayClose({ arrived, expected, members }));
    expect(closesAt(4, 4)).toBe(3);
    expect(closesAt(4, 2)).toBe(2);
    expect(closesAt(3, 3)).toBe(3);
    expect(closesAt(1, 1)).toBe(1);
  });

  it("needs of a quorum no slot more than its share, whatever floats make of that, and at least one", () => {
    const counts = fc.record({ members: fc.integer({ min: 1, max: 4096 }), share: fc.integer({ min: 1, max: 100 }) });
    fc.assert(
      fc.property(counts, ({ members, share }) => {
        const mode = consistencyOf(bsp({ quorum: share / 100 }));
        const needed = Math.ceil((share * members) / 100);
        expect(mode.mayClose({ arrived: needed, expected: members, members })).toBe(true);
        expect(mode.mayClose({ arrived: needed - 1, expected: members, members })).toBe(false);
      }),
    );
    expect(consistencyOf(bsp({ quorum: 1e-12 })).mayClose({ arrived: 0, expected: 4, members: 4 })).toBe(false);
  });
});

describe("ssp()", () => {
  it("lets no worker begin a batch that is more than its bound ahead of the slowest", () => {
    const ahead = consistencyOf(ssp({ stalenessSteps: 2 }));
    expect([3, 4, 5, 6].map((begun) => ahead.mayBegin({ begun, slowest: 3 }))).toEqual([true, true, true, false]);
    const together = consistencyOf(ssp({ stalenessSteps: 0 }));
    expect(together.mayBegin({ begun: 3, slowest: 3 })).toBe(true);
    expect(together.mayBegin({ begun: 4, slowest: 3 })).toBe(false);
    expect(together.onLate).toBe("repeat");
  });

  it("keeps workers within its bound, in whatever order they begin and finish", () => {
    const turns = fc.array(fc.nat({ max: 4 }), { maxLength: 300 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), turns, (stalenessSteps, order) => {
        const mode = consistencyOf(ssp({ stalenessSteps }));
        const workers = Array.from({ length: 5 }, () => ({ begun: 0, finished: 0 }));
        for (const turn of order) {
          const worker = workers[turn]!;
          const slowest = Math.min(...workers.map(({ finished }) => finished));
          if (worker.begun > worker.finished) worker.finished++;
          else if (mode.mayBegin({ begun: worker.begun, slowest })) {
            expect(worker.begun - slowest).toBeLessThanOrEqual(stalenessSteps);
            worker.begun++;
          }
        }
        // Nobody is ever stuck: the slowest may always go on.
        const slowest = Math.min(...workers.map(({ finished }) => finished));
        expect(mode.mayBegin({ begun: slowest, slowest })).toBe(true);
      }),
    );
  });

  it("keeps rows as long as it promises", () => {
    expect(consistencyOf(ssp({ stalenessSteps: 8 })).keepsRowsFor).toBe(8);
    expect(consistencyOf(ssp({ stalenessSteps: 0 })).keepsRowsFor).toBe(0);
  });
});

describe("asp() and localSgd()", () => {
  it("hold nobody back", () => {
    for (const spec of [asp(), localSgd({ every: 10 })]) {
      const mode = consistencyOf(spec);
      expect(mode).toMatchObject({ work: "batches", gradients: "at-once", keepsRowsFor: Infinity });
      expect(mode.mayBegin({ begun: 1e6, slowest: 0 })).toBe(true);
    }
    expect(consistencyOf(asp())).toMatchObject({ dense: "ps", onLate: "repeat" });
    // A batch that two workers train would be in the dense weights of both.
    expect(consistencyOf(localSgd({ every: 10 }))).toMatchObject({ dense: "rounds", onLate: "wait" });
  });

  it("average in rounds of which each option has a default", () => {
    const rounds = (spec: ConsistencySpec) => consistencyOf(spec).rounds;
    expect(rounds(localSgd({ every: 30 }))).toEqual({ every: 30, outer: average(), compression: "float32" });
    expect(rounds(localSgd({ every: { seconds: 2 }, outer: nesterov(0.7, 0.9), compression: "int8" }))).toEqual({
      every: { seconds: 2 },
      outer: { kind: "nesterov", learningRate: 0.7, momentum: 0.9 },
      compression: "int8",
    });
  });
});

describe("withDense()", () => {
  it("changes nothing that a mode says anyway", () => {
    for (const spec of MODES) {
      const { dense } = consistencyOf(spec);
      if (dense !== "rounds") expect(withDense(spec, dense)).toBe(spec);
    }
  });

  it("puts dense variables of bsp() on the PS, whose steps close when all slots are in", () => {
    const spec = withDense(bsp(), "ps")!;
    const mode = consistencyOf(spec);
    expect(mode).toMatchObject({ work: "batches", dense: "ps", gradients: "at-commit" });
    expect(mode.mayClose({ arrived: 3, expected: 4, members: 4 })).toBe(false);
    expect(mode.mayClose({ arrived: 4, expected: 4, members: 4 })).toBe(true);
  });

  it("refuses what a mode cannot do", () => {
    expect(withDense(bsp({ balance: true }), "ps")).toBeUndefined();
    for (const spec of [bsp({ quorum: 0.5 }), ssp({ stalenessSteps: 1 }), asp(), localSgd({ every: 1 })])
      expect(withDense(spec, "all-reduce")).toBeUndefined();
    expect(withDense(localSgd({ every: 1 }), "ps")).toBeUndefined();
  });
});

describe("consistencySpecSchema", () => {
  const above = LIMITS.stalenessStepsMax + 1;
  it.each([
    [{ mode: "fast" }, ["mode"]],
    [{ mode: "bsp", quorum: 0 }, ["quorum"]],
    [{ mode: "bsp", quorum: 1.5 }, ["quorum"]],
    [{ mode: "bsp", quorum: 0.5, balance: true }, []],
    [{ mode: "bsp", stalenessSteps: 1 }, []],
    [{ mode: "ssp" }, ["stalenessSteps"]],
    [{ mode: "ssp", stalenessSteps: -1 }, ["stalenessSteps"]],
    [{ mode: "ssp", stalenessSteps: 0.5 }, ["stalenessSteps"]],
    [{ mode: "ssp", stalenessSteps: above }, ["stalenessSteps"]],
    [{ mode: "localSgd", outer: average() }, ["every"]],
    [{ mode: "localSgd", every: 0, outer: average() }, ["every"]],
    [{ mode: "localSgd", every: { seconds: 0 }, outer: average() }, ["every", "seconds"]],
    [{ mode: "localSgd", every: 1, outer: { kind: "median" } }, ["outer", "kind"]],
    [{ mode: "localSgd", every: 1, outer: nesterov(0, 0.9) }, ["outer", "learningRate"]],
    [{ mode: "localSgd", every: 1, outer: nesterov(0.7, 1) }, ["outer", "momentum"]],
    [{ mode: "localSgd", every: 1, outer: average(), compression: "int4" }, ["compression"]],
  ])("refuses %j", (spec, path) => {
    expect(consistencySpecSchema.safeParse(spec).error?.issues[0]?.path).toEqual(path);
  });
});
