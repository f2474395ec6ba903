/** A partition's part in a step: starts, slots, commits and promises, in any order and however often. */
import { describe, expect, test } from "vitest";
import type { Partition } from "./partition.ts";
import { gradient, partition, started, weight } from "./test-partition.ts";

describe("a bad push", () => {
  test("is refused before anything changes, and its slot can send a good one", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(() => p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(NaN) })).toThrow(
      /^NaN for key 9 of table "route", component 0/,
    );
    expect(p.staged).toBe(false);
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(2) })).toBe("staged");
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(weight(p)).toBe(-3);
  });

  test("of a slot that the step does not have is refused", () => {
    expect(() => started().receive({ step: 1, attempt: 1, slot: 2, segment: null })).toThrow(
      new RangeError("slot 2 of a step that has slots 0 to 1"),
    );
  });
});

describe("start()", () => {
  test("refuses a number of slots that no step has", () => {
    for (const slots of [0, 1.5, 5000]) {
      expect(() => partition().start({ step: 1, attempt: 1, slots, term: 1 })).toThrow(
        new RangeError(`start with ${slots} slots: a step has 1 to 4096`),
      );
    }
  });

  test("refuses a step that does not follow the committed one", () => {
    const refused = { kind: "refused", term: 0, committed: { step: 0, attempt: 0 } };
    expect(partition().start({ step: 2, attempt: 1, slots: 1, term: 1 })).toEqual(refused);
    expect(partition().start({ step: 0, attempt: 1, slots: 1, term: 1 })).toEqual(refused);
  });

  test("refuses a term below the promised one", () => {
    const p = partition();
    p.promise(5);
    expect(p.start({ step: 1, attempt: 4, slots: 1, term: 4 })).toEqual({
      kind: "refused",
      term: 5,
      committed: { step: 0, attempt: 0 },
    });
  });

  test("refuses an attempt older than the open one", () => {
    const p = partition();
    p.start({ step: 1, attempt: 3, slots: 1, term: 3 });
    expect(p.start({ step: 1, attempt: 2, slots: 1, term: 3 }).kind).toBe("refused");
    expect(p.attempt).toBe(3);
  });

  test("refuses to change the slots of an open attempt", () => {
    expect(() => started().start({ step: 1, attempt: 1, slots: 3, term: 1 })).toThrow(
      new RangeError("attempt 1 has 2 slots, not 3: start a new attempt"),
    );
  });

  test("of the open attempt again keeps the slots that are in", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(p.start({ step: 1, attempt: 1, slots: 2, term: 1 })).toEqual({ kind: "accepted" });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
  });

  test("of a new attempt drops what the old one collected, staged or not", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(1) });
    expect(p.staged).toBe(true);
    expect(p.start({ step: 1, attempt: 2, slots: 1, term: 2 })).toEqual({ kind: "accepted" });
    expect(p.staged).toBe(false);
    expect(p.receive({ step: 1, attempt: 2, slot: 0, segment: gradient(10) })).toBe("staged");
    expect(p.commit({ step: 1, attempt: 2, term: 2 })).toBe("committed");
    expect(weight(p)).toBe(-10);
  });

  test("promises its term", () => {
    const p = partition();
    p.start({ step: 1, attempt: 4, slots: 1, term: 4 });
    expect(p.promise(3)).toEqual({ kind: "refused", term: 4 });
  });
});

describe("receive()", () => {
  test("is early before the first start, at a later step and in a later attempt", () => {
    expect(partition().receive({ step: 1, attempt: 1, slot: 0, segment: null })).toBe("early");
    expect(started().receive({ step: 2, attempt: 1, slot: 0, segment: null })).toBe("early");
    expect(started().receive({ step: 1, attempt: 2, slot: 0, segment: null })).toBe("early");
  });

  test("is late at a committed step and in an older attempt", () => {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) })).toBe("late");
    p.start({ step: 2, attempt: 2, slots: 1, term: 2 });
    expect(p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(1) })).toBe("late");
  });

  test("takes a slot once, also when the step is staged", () => {
    const p = started();
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) })).toBe("waiting");
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(100) })).toBe("duplicate");
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(2) })).toBe("staged");
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(100) })).toBe("duplicate");
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(weight(p)).toBe(-3);
  });

  test("stages a step for which no slot had anything", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
    expect([p.committed, p.rowCount()]).toEqual([{ step: 1, attempt: 1 }, 0]);
  });

  test("takes slots after a promise: they are still of the open attempt", () => {
    const p = started();
    p.promise(9);
    p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
  });
});

describe("commit()", () => {
  function staged(): Partition {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    return p;
  }

  test("refuses what is not staged, another attempt and another step", () => {
    expect(started().commit({ step: 1, attempt: 1, term: 1 })).toBe("refused");
    expect(staged().commit({ step: 1, attempt: 2, term: 2 })).toBe("refused");
    expect(staged().commit({ step: 2, attempt: 1, term: 1 })).toBe("refused");
  });

  test("refuses a term below the promised one, and changes nothing", () => {
    const p = staged();
    p.promise(2);
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("refused");
    expect([p.committed.step, p.staged, weight(p)]).toEqual([0, true, 0]);
  });

  test("applies once, however often it comes", () => {
    const p = staged();
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("already");
    expect(p.commit({ step: 1, attempt: 1, term: 7 })).toBe("already");
    expect(weight(p)).toBe(-1);
  });

  test("of a step before the last committed one was done already", () => {
    const p = staged();
    p.commit({ step: 1, attempt: 1, term: 1 });
    p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(1) });
    p.commit({ step: 2, attempt: 1, term: 1 });
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("already");
    expect(weight(p)).toBe(-2);
  });

  test("refuses another attempt of the committed step", () => {
    const p = staged();
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(p.commit({ step: 1, attempt: 2, term: 2 })).toBe("refused");
  });

  test("opens the next step in the same attempt with as many slots", () => {
    const p = started({ slots: 2 });
    for (const slot of [0, 1]) p.receive({ step: 1, attempt: 1, slot, segment: gradient(1) });
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect([p.attempt, p.staged]).toEqual([1, false]);
    expect(p.receive({ step: 2, attempt: 1, slot: 1, segment: gradient(4) })).toBe("waiting");
    expect(p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(8) })).toBe("staged");
    expect(p.commit({ step: 2, attempt: 1, term: 1 })).toBe("committed");
    expect(weight(p)).toBe(-14);
  });
});

describe("recovery", () => {
  test("a promise tells what was committed and keeps what is staged, so the new leader commits it", () => {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(p.promise(2)).toEqual({ kind: "promised", term: 2, committed: { step: 0, attempt: 0 } });
    expect(p.promise(2)).toEqual({ kind: "promised", term: 2, committed: { step: 0, attempt: 0 } });
    expect(p.commit({ step: 1, attempt: 1, term: 2 })).toBe("committed");
    expect([p.committed, weight(p)]).toEqual([{ step: 1, attempt: 1 }, -1]);
  });

  test("when one partition has committed, all commit that attempt and end alike", () => {
    const all = [started({ slots: 1 }), started({ slots: 1 })];
    for (const p of all) p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    all[0]!.commit({ step: 1, attempt: 1, term: 1 }); // the leader dies here
    const newest = all
      .map((p) => p.promise(2))
      .map((answer) => (answer.kind === "promised" ? answer.committed.step : -1));
    expect(newest).toEqual([1, 0]);
    expect(all.map((p) => p.commit({ step: 1, attempt: 1, term: 2 }))).toEqual(["already", "committed"]);
    expect(all[1]!.commit({ step: 1, attempt: 1, term: 1 })).toBe("refused"); // the dead leader's own, late
    expect(all.map((p) => p.start({ step: 2, attempt: 2, slots: 3, term: 2 }).kind)).toEqual(["accepted", "accepted"]);
    expect(all.map(weight)).toEqual([-1, -1]);
  });
});

test("a pull may be answered once the step before it is committed", () => {
  const p = started({ slots: 1 });
  expect([p.mayPull(1), p.mayPull(2)]).toEqual([true, false]);
  p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
  expect(p.mayPull(2)).toBe(false);
  p.commit({ step: 1, attempt: 1, term: 1 });
  expect(p.mayPull(2)).toBe(true);
});
