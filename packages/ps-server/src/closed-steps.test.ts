/** A PS node in steps that close by their leader's word, the coordinator's: slots that are late, left out, repeated. */
import { beforeEach, describe, expect, it } from "vitest";
import { TableMemory } from "@volary/core/table";
import {
  COORDINATOR,
  HEADS,
  JOB,
  LEADER,
  OTHER,
  controls,
  frames,
  testNode,
  type TestNode,
} from "./testing/test-node.ts";

const QUORUM = { mode: "bsp", quorum: 0.5 } as const;
const STEP = { step: 1, attempt: 1, term: 1 };

let t: TestNode;

/** Fenced and started by the coordinator. */
function begin({ slots, term = 1, step = 1 }: { slots: number; term?: number; step?: number }): void {
  t.fence(COORDINATOR, { term });
  t.start(COORDINATOR, { step, attempt: term, term, slots });
  t.said();
}

/** What the coordinator hears, in short. */
const heard = (): string[] =>
  t.said().map((effect) => {
    if (effect.kind !== "control") return effect.kind;
    const { link, control } = effect;
    const to = link === COORDINATOR ? "" : `to ${link}: `;
    return `${to}${control.type}${control.type === "slot-in" ? ` ${control.slot}` : ""}`;
  });

beforeEach(() => {
  t?.node.dispose();
  t = testNode({ consistency: QUORUM });
});

describe("slots", () => {
  it("are told to the coordinator one by one, and again when they come again; they close nothing", () => {
    begin({ slots: 2 });
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1] } });
    expect(t.said()).toEqual([
      {
        kind: "control",
        link: COORDINATOR,
        control: { type: "slot-in", job: JOB, step: 1, attempt: 1, slot: 1, heads: HEADS },
      },
    ]);
    t.push(OTHER, { step: 1, slot: 0, rows: {} });
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1] } });
    expect(heard()).toEqual(["slot-in 0", "slot-in 1"]);
    expect(t.node.counters).toMatchObject({ pushes: 2, repeatedPushes: 1 });
    t.commit(COORDINATOR, STEP);
    expect(heard()).toEqual([]);
    expect(t.node.counters.refusedSteps).toBe(1);
  });

  it("that are in are told once more to a coordinator that fences or starts again", () => {
    begin({ slots: 3 });
    for (const slot of [2, 0]) t.push(OTHER, { step: 1, slot, rows: { 0: [1] } });
    t.said();
    t.fence(COORDINATOR, { term: 1 });
    expect(heard()).toEqual(["promise", "slot-in 0", "slot-in 2"]);
    t.start(COORDINATOR, { ...STEP, slots: 3 });
    expect(heard()).toEqual(["slot-in 0", "slot-in 2"]);
  });

  it("that are early wait for the start of their attempt, or for the commit of the step before", () => {
    t.fence(COORDINATOR, { term: 1 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.push(LEADER, { step: 2, slot: 1, rows: { 0: [1] }, gradient: 10 });
    expect(heard()).toEqual(["promise"]);
    t.start(COORDINATOR, { ...STEP, slots: 2 });
    expect(heard()).toEqual(["slot-in 0"]);
    t.close(COORDINATOR, { ...STEP, slots: [0] });
    t.commit(COORDINATOR, STEP);
    expect(heard()).toEqual(["staged", "committed", "slot-in 1"]);
  });

  it("with bad rows in one partition are in nowhere, and are told to their sender alone", () => {
    begin({ slots: 1 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [5, 5] } });
    expect(heard()).toEqual([`to ${OTHER}: error`]);
    t.close(COORDINATOR, { ...STEP, slots: [0] });
    expect(heard()).toEqual([]);
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [5] } });
    expect(heard()).toEqual(["slot-in 0"]);
  });
});

describe("a close", () => {
  it("sums the slots it names, times its factor; others leave nothing and are counted", () => {
    begin({ slots: 4 });
    t.push(OTHER, { step: 1, slot: 3, rows: { 0: [1], 1: [2] }, gradient: 1 });
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1, 9], 1: [3] }, gradient: 100 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 2 });
    t.said();
    t.close(COORDINATOR, { ...STEP, slots: [0, 3], scale: 2 });
    expect(t.said()).toEqual([
      { kind: "control", link: COORDINATOR, control: { type: "staged", job: JOB, step: 1, attempt: 1, heads: HEADS } },
    ]);
    t.push(OTHER, { step: 1, slot: 2, rows: { 0: [1] }, gradient: 100 }); // late
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1] }, gradient: 100 }); // left out, and again
    expect(t.said()).toEqual([]);
    t.commit(COORDINATOR, STEP);
    t.push(OTHER, { step: 1, slot: 2, rows: { 0: [1] }, gradient: 100 });
    expect(t.read({ 0: [1, 9], 1: [2, 3] })).toEqual([-6, -6, 0, 0, -2, -2, 0, 0]);
    expect(t.node.usage().rows).toBe(2);
    expect(t.node.counters).toMatchObject({ pushes: 3, latePushes: 4, commits: 1, refusedSteps: 0 });
  });

  it("that comes again is answered again, and a slot of it that comes again is told again", () => {
    begin({ slots: 2 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    for (let i = 0; i < 2; i++) t.close(COORDINATOR, { ...STEP, slots: [0], scale: 3 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(heard()).toEqual(["slot-in 0", "staged", "staged", "slot-in 0", "staged"]);
    t.commit(COORDINATOR, STEP);
    expect(t.read({ 0: [1] })).toEqual([-3, -3]);
    expect(t.node.counters.latePushes).toBe(0);
  });

  it("is refused of another step, attempt or term, of slots that are not in, and where slots close steps", () => {
    begin({ slots: 2, term: 2 });
    const at = { step: 1, attempt: 2, term: 2, slots: [0] };
    t.close(COORDINATOR, at);
    t.push(OTHER, { step: 1, attempt: 2, slot: 0, rows: { 0: [1] } });
    t.said();
    for (const other of [{ step: 2 }, { attempt: 1 }, { slots: [0, 1] }, { slots: [7] }])
      t.close(COORDINATOR, { ...at, ...other });
    expect(t.said()).toEqual([]);
    t.close(COORDINATOR, { ...at, term: 1 });
    expect(heard()).toEqual(["stale-term"]);
    expect(t.node.counters.refusedSteps).toBe(6);
    t.close(COORDINATOR, at);
    expect(heard()).toEqual(["staged"]);

    t.node.dispose();
    t = testNode();
    begin({ slots: 2 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.close(COORDINATOR, { ...STEP, slots: [0] });
    expect(t.said()).toEqual([]);
    expect(t.node.counters.refusedSteps).toBe(1);
  });

  it("of older heads is told so, of newer ones waits for the map", () => {
    begin({ slots: 1 });
    t.close(COORDINATOR, { ...STEP, slots: [], heads: HEADS - 1 });
    expect(heard()).toEqual(["stale-heads"]);
    t.close(COORDINATOR, { ...STEP, slots: [], heads: HEADS + 1 });
    expect(heard()).toEqual([]);
    t.say(COORDINATOR, { type: "map", map: { ...t.node.map!, version: 9, heads: HEADS + 1 } });
    expect(heard()).toEqual(["staged"]);
  });

  it("that fails in one partition leaves all open: it may be asked for again", () => {
    begin({ slots: 2 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [2] }, gradient: 2 });
    t.push(OTHER, { step: 1, slot: 1, rows: { 1: [2] }, gradient: 3e38 });
    t.said();
    t.close(COORDINATOR, { ...STEP, slots: [0, 1], scale: 2 });
    expect(controls(t.said(), "error")).toMatchObject([
      {
        link: COORDINATOR,
        control: {
          job: JOB,
          code: "BAD_UPDATE",
          message: expect.stringMatching(/^Infinity for key 2 of table "items"/),
        },
      },
    ]);
    t.close(COORDINATOR, { ...STEP, slots: [0], scale: 2 });
    t.commit(COORDINATOR, STEP);
    expect(t.read({ 0: [1], 1: [2] })).toEqual([-4, -4, -4, -4]);
  });

  it("for which there is no memory is refused with a code", () => {
    t.node.dispose();
    t = testNode({ consistency: QUORUM, memory: new TableMemory({ arenaBytes: 2 ** 22, bytesMax: 20_000 }) });
    begin({ slots: 1 });
    const many = Array.from({ length: 4000 }, (_, i) => i);
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: many } });
    expect(heard()).toEqual(["slot-in 0"]);
    t.close(COORDINATOR, { ...STEP, slots: [0] });
    expect(controls(t.said(), "error")).toMatchObject([
      {
        link: COORDINATOR,
        control: {
          job: JOB,
          code: "LIMIT_EXCEEDED",
          message: expect.stringMatching(/^no room for 4000 new rows of table "items"/),
        },
      },
    ]);
    t.close(COORDINATOR, { ...STEP, slots: [] });
    expect(heard()).toEqual(["staged"]);
  });
});

describe("a new term", () => {
  it("starts a step anew that was closed and not committed", () => {
    begin({ slots: 2 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 100 });
    t.close(COORDINATOR, { ...STEP, slots: [0] });
    t.said();
    t.fence(COORDINATOR, { term: 2 });
    t.start(COORDINATOR, { step: 1, attempt: 2, term: 2, slots: 2 });
    expect(heard()).toEqual(["promise"]);
    t.push(OTHER, { step: 1, attempt: 1, slot: 1, rows: { 0: [1] }, gradient: 100 });
    t.push(OTHER, { step: 1, attempt: 2, slot: 1, rows: { 0: [1] } });
    t.close(COORDINATOR, { step: 1, attempt: 2, term: 2, slots: [1] });
    t.commit(COORDINATOR, { step: 1, attempt: 2, term: 2 });
    expect(heard()).toEqual(["slot-in 1", "staged", "committed"]);
    expect(t.read({ 0: [1] })).toEqual([-1, -1]);
  });

  it("may finish a step that was closed under the one before", () => {
    begin({ slots: 1 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.close(COORDINATOR, { ...STEP, slots: [0], scale: 4 });
    t.fence(COORDINATOR, { term: 2 });
    t.commit(COORDINATOR, { step: 1, attempt: 1, term: 2 });
    expect(t.read({ 0: [1] })).toEqual([-4, -4]);
  });
});

it("pulls wait for the commit of the step before", () => {
  begin({ slots: 1 });
  t.pull(OTHER, { step: 2, rows: { 0: [1] } });
  t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
  t.close(COORDINATOR, { ...STEP, slots: [0] });
  expect(frames(t.said())).toEqual([]);
  t.commit(COORDINATOR, STEP);
  expect(frames(t.said()).map(({ frame }) => Array.from(frame.values))).toEqual([[-1, -1]]);
});
