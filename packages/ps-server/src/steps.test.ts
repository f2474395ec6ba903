/** A PS node in the step transaction: what it stages, what waits, and that nothing counts twice. */
import { beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import {
  COORDINATOR,
  HEADS,
  JOB,
  LEADER,
  OTHER,
  TABLE,
  controls,
  frames,
  openJob,
  sections,
  testNode,
  valuesOf,
  type TestNode,
  MAP,
} from "./testing/test-node.ts";

let t: TestNode;

beforeEach(() => {
  t?.node.dispose();
  t = testNode();
});

describe("a step", () => {
  it("is staged once every slot is in, and applied at the commit", () => {
    t.begin({ slots: 2 });
    expect(controls(t.said(), "promise")).toEqual([
      {
        link: LEADER,
        control: { type: "promise", job: JOB, term: 1, heads: HEADS, committed: { step: 0, attempt: 0 }, whole: true },
      },
    ]);
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [10, 20], 1: [30] }, gradient: 1 });
    expect(t.said()).toEqual([]);
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [20] }, gradient: 0.5 });
    expect(t.said()).toEqual([
      { kind: "control", link: LEADER, control: { type: "staged", job: JOB, step: 1, attempt: 1, heads: HEADS } },
    ]);
    expect(t.read({ 0: [10, 20], 1: [30] })).toEqual([0, 0, 0, 0, 0, 0]);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.said()).toEqual([
      { kind: "control", link: LEADER, control: { type: "committed", job: JOB, step: 1, attempt: 1, heads: HEADS } },
    ]);
    expect(t.read({ 0: [10, 20], 1: [30] })).toEqual([-1, -1, -1.5, -1.5, -1, -1]);
    expect(t.node.usage().rows).toBe(3);
  });

  it("counts a slot that has nothing for this node", () => {
    t.begin({ slots: 2 });
    t.push(LEADER, { step: 1, slot: 0, rows: {} });
    t.push(OTHER, { step: 1, slot: 1, rows: {} });
    expect(controls(t.said(), "staged")).toHaveLength(1);
  });

  it("does not depend on the order in which slots arrive", () => {
    const results = [
      [0, 1, 2],
      [2, 0, 1],
    ].map((order) => {
      t.say(COORDINATOR, { type: "close-job", job: JOB });
      t.say(COORDINATOR, openJob(JOB, TABLE));
      t.begin({ slots: 3 });
      for (const slot of order) t.push(OTHER, { step: 1, slot, rows: { 0: [1] }, gradient: [0.1, 1e8, -1e8][slot]! });
      t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
      return t.read({ 0: [1] });
    });
    expect(results[0]).toEqual(results[1]);
  });

  it("is applied once, however often pushes and commits are repeated", () => {
    t.begin({ slots: 1 });
    for (let i = 0; i < 3; i++) t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(controls(t.said(), "staged")).toHaveLength(3); // each repeat is answered
    for (let i = 0; i < 3; i++) t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(controls(t.said(), "committed")).toHaveLength(3);
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.start(LEADER, { step: 1, attempt: 1, term: 1, slots: 1 });
    expect(t.read({ 0: [1] })).toEqual([-1, -1]);
    expect(t.node.counters).toMatchObject({ pushes: 1, repeatedPushes: 2, latePushes: 1, commits: 1, refusedSteps: 1 });
  });

  it("is not committed before it is staged", () => {
    t.begin({ slots: 2 });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.said();
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.said()).toEqual([]);
    expect(t.node.counters.refusedSteps).toBe(1);
  });

  it("opens the next one by itself", () => {
    t.begin({ slots: 1 });
    for (const step of [1, 2, 3]) {
      t.push(LEADER, { step, slot: 0, rows: { 0: [1] } });
      t.commit(LEADER, { step, attempt: 1, term: 1 });
    }
    expect(t.read({ 0: [1] })).toEqual([-3, -3]);
  });
});

describe("pulls", () => {
  it("read initial values without making rows, and name what is committed", () => {
    t.pull(OTHER, { step: 0, rows: { 0: [1, 2], 1: [3] } });
    const effects = t.said();
    expect(frames(effects)[0]).toMatchObject({
      link: OTHER,
      frame: { opcode: "pullReply", job: JOB, requestId: 0, step: 0, attempt: 0 },
    });
    expect(valuesOf(effects)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(t.node.usage().rows).toBe(0);
  });

  it("for the next step wait until this one is committed", () => {
    t.begin({ slots: 1 });
    t.pull(OTHER, { step: 1, rows: { 0: [1] } });
    expect(frames(t.said())).toHaveLength(1);
    t.pull(OTHER, { step: 2, rows: { 0: [1] } });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(frames(t.said())).toEqual([]);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    const effects = t.said();
    expect(effects.map(({ kind }) => kind)).toEqual(["control", "frame"]);
    expect(frames(effects)[0]).toMatchObject({ link: OTHER, frame: { requestId: 2, step: 1, attempt: 1, term: 1 } });
    expect(Array.from(frames(effects)[0]!.frame.values)).toEqual([-1, -1]);
  });

  it("that are repeated while they wait are answered once", () => {
    t.begin({ slots: 1 });
    for (let i = 0; i < 5; i++) t.pull(OTHER, { step: 2, rows: { 0: [1] } });
    t.push(LEADER, { step: 1, slot: 0, rows: {} });
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(frames(t.said())).toHaveLength(1);
  });

  it("of a client that left are forgotten and counted", () => {
    t.begin({ slots: 1 });
    t.pull(OTHER, { step: 2, rows: { 0: [1] } });
    t.node.handleClose(OTHER);
    t.push(LEADER, { step: 1, slot: 0, rows: {} });
    t.said();
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(frames(t.said())).toEqual([]);
    expect(t.node.counters.abandonedPulls).toBe(1);
  });

  it("that wait are bounded", () => {
    t.begin({ slots: 1 });
    for (let requestId = 0; requestId <= LIMITS.parkedPullsMax; requestId++) {
      t.send(OTHER, { opcode: "pull", requestId, generation: HEADS, step: 2, term: 1 });
    }
    expect(controls(t.said(), "error")).toMatchObject([
      { link: OTHER, control: { code: "LIMIT_EXCEEDED", requestId: LIMITS.parkedPullsMax } },
    ]);
  });

  it("that are wrong are refused at once, not when the leader commits", () => {
    t.begin({ slots: 1 });
    t.said();
    t.send(OTHER, {
      opcode: "pull",
      requestId: 2,
      generation: HEADS,
      step: 2,
      term: 1,
      ...sections({ 0: [1] }),
      tables: Uint32Array.of(77),
    });
    expect(controls(t.said(), "error")).toMatchObject([{ link: OTHER, control: { code: "BAD_UPDATE", requestId: 2 } }]);
  });
});

describe("a new leader", () => {
  it("fences: older terms are refused from then on, and told why", () => {
    t.begin({ slots: 1 });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.said();
    t.fence(OTHER, { term: 2 });
    expect(t.said()).toEqual([
      {
        kind: "control",
        link: OTHER,
        control: { type: "promise", job: JOB, term: 2, heads: HEADS, committed: { step: 0, attempt: 0 }, whole: true },
      },
    ]);
    const stale = { type: "stale-term", job: JOB, promised: 2 } as const;
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    t.start(LEADER, { step: 1, attempt: 1, term: 1, slots: 1 });
    t.fence(LEADER, { term: 1 });
    expect(t.said()).toEqual([stale, stale, stale].map((control) => ({ kind: "control", link: LEADER, control })));
    expect(t.read({ 0: [1] })).toEqual([0, 0]);
  });

  it("may finish what the old one had staged, under its own term", () => {
    t.begin({ slots: 1 });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    t.fence(OTHER, { term: 2 });
    t.said();
    t.commit(OTHER, { step: 1, attempt: 1, term: 2 });
    expect(t.said()).toEqual([
      { kind: "control", link: OTHER, control: { type: "committed", job: JOB, step: 1, attempt: 1, heads: HEADS } },
    ]);
    expect(t.read({ 0: [1] })).toEqual([-1, -1]);
  });

  it("may start anew: what the old attempt pushed is dropped", () => {
    t.begin({ slots: 2 });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 100 });
    t.fence(OTHER, { term: 2 });
    t.start(OTHER, { step: 1, attempt: 2, term: 2, slots: 1, members: [1] });
    t.push(LEADER, { step: 1, attempt: 1, slot: 1, rows: { 0: [1] }, gradient: 100 }); // a straggler
    t.push(OTHER, { step: 1, attempt: 2, slot: 0, rows: { 0: [1] }, gradient: 1 });
    t.commit(OTHER, { step: 1, attempt: 2, term: 2 });
    expect(t.read({ 0: [1] })).toEqual([-1, -1]);
    expect(t.node.counters.latePushes).toBe(1);
  });

  it("is told what is staged when it fences again over a new link", () => {
    t.begin({ slots: 1 });
    t.push(LEADER, { step: 1, slot: 0, rows: {} });
    t.node.handleClose(LEADER);
    t.said();
    t.fence(OTHER, { term: 1 });
    expect(t.said()).toMatchObject([
      { link: OTHER, control: { type: "promise" } },
      { link: OTHER, control: { type: "staged", step: 1, attempt: 1 } },
    ]);
  });

  it("drops pulls of older attempts, those that wait and those that come", () => {
    t.begin({ slots: 1 });
    t.pull(OTHER, { step: 2, term: 1, rows: { 0: [1] } });
    t.fence(OTHER, { term: 2 });
    t.pull(OTHER, { step: 1, term: 1, rows: { 0: [1] } });
    expect(frames(t.said())).toEqual([]);
    expect(t.node.counters.abandonedPulls).toBe(2);
    t.pull(OTHER, { step: 1, term: 2, rows: { 0: [1] } });
    expect(frames(t.said())).toHaveLength(1);
  });
});

describe("pushes that are early", () => {
  it("wait for the start of their attempt", () => {
    t.fence(LEADER, { term: 1 });
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1] }, gradient: 2 });
    t.push(OTHER, { step: 1, slot: 1, rows: { 0: [1] }, gradient: 2 }); // repeated while it waits
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(controls(t.said(), "staged")).toEqual([]);
    t.start(LEADER, { step: 1, attempt: 1, term: 1, slots: 2 });
    expect(controls(t.said(), "staged")).toHaveLength(1);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.read({ 0: [1] })).toEqual([-3, -3]);
  });

  it("of an attempt that is given up are dropped and counted", () => {
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 100 });
    t.fence(LEADER, { term: 2 });
    t.start(LEADER, { step: 1, attempt: 2, term: 2, slots: 1 });
    expect(controls(t.said(), "staged")).toEqual([]);
    expect(t.node.counters.latePushes).toBe(1);
  });

  it("that turn out bad are told to their sender, not to the leader", () => {
    t.push(OTHER, { step: 1, slot: 7, rows: { 0: [1] } });
    t.begin({ slots: 1 });
    expect(controls(t.said(), "error")).toMatchObject([
      { link: OTHER, control: { code: "BAD_UPDATE", message: "slot 7 of a step that has slots 0 to 0", requestId: 1 } },
    ]);
  });

  it("are bounded", () => {
    for (let slot = 0; slot <= LIMITS.earlyFramesMax; slot++) t.push(OTHER, { step: 1, slot, rows: {} });
    expect(controls(t.said(), "error")).toMatchObject([{ link: OTHER, control: { code: "LIMIT_EXCEEDED" } }]);
  });
});

describe("heads of the partition map", () => {
  const newer: PartitionMap = {
    ...MAP,
    version: 4,
    heads: 4,
  };
  const stale = (link: number) => ({
    kind: "control",
    link,
    control: { type: "stale-heads", job: JOB, heads: HEADS },
  });

  it("that are older than the node's are told so to whoever names them, and change nothing", () => {
    const heads = HEADS - 1;
    t.begin({ slots: 1 });
    t.said();
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] }, heads });
    t.pull(OTHER, { step: 1, rows: { 0: [1] }, heads });
    t.fence(LEADER, { term: 2, heads });
    t.start(LEADER, { step: 1, attempt: 2, term: 2, slots: 1, heads });
    t.commit(LEADER, { step: 1, attempt: 1, term: 1, heads });
    expect(t.said()).toEqual([OTHER, OTHER, LEADER, LEADER, LEADER].map(stale));
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(controls(t.said(), "staged")).toHaveLength(1);
  });

  it("that are newer wait for the map, and are then answered in their order", () => {
    t.fence(LEADER, { term: 1, heads: 4 });
    t.start(LEADER, { step: 1, attempt: 1, term: 1, slots: 1, heads: 4 });
    t.push(OTHER, { step: 1, slot: 0, rows: {}, heads: 4 });
    t.pull(OTHER, { step: 2, rows: { 0: [1] }, heads: 4 });
    expect(t.said()).toEqual([]);
    t.say(COORDINATOR, { type: "map", map: newer });
    expect(t.said().map((e) => (e.kind === "control" ? e.control.type : e.kind))).toEqual(["promise", "staged"]);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1, heads: 4 });
    expect(frames(t.said())).toMatchObject([{ link: OTHER, frame: { requestId: 2, generation: 4 } }]);
  });

  it("that wait are forgotten with the link they came over", () => {
    t.fence(LEADER, { term: 1, heads: 4 });
    t.push(LEADER, { step: 1, slot: 0, rows: {}, heads: 4 });
    t.node.handleClose(LEADER);
    t.say(COORDINATOR, { type: "map", map: newer });
    expect(t.said()).toEqual([]);
  });

  it("may be the same in a newer map: a push of a generation that is not known yet waits for it", () => {
    t.begin({ slots: 1 });
    t.said();
    const entries = MAP.entries.map((entry, p) => (p === 0 ? { ...entry, generation: 6 } : entry));
    const rows = { 0: [1] };
    const at = { generation: HEADS, step: 1, attempt: 1, term: 1, slot: 0, requestId: 1 };
    t.send(OTHER, { opcode: "push", ...at, ...sections(rows, { 0: 6 }), values: Float32Array.of(1, 1) });
    expect(t.said()).toEqual([]);
    t.say(COORDINATOR, { type: "map", map: { ...MAP, version: 4, entries } });
    expect(controls(t.said(), "staged")).toHaveLength(1);
  });

  it("may be right where a push is not: partitions of other nodes are refused, and nothing is staged", () => {
    t.begin({ slots: 1 });
    t.said();
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 2: [3] } });
    const message = "a push of step 1 has partitions that this node is not the head of: 2";
    expect(t.said()).toMatchObject([{ link: OTHER, control: { type: "error", code: "BAD_UPDATE", message } }]);
  });
});
