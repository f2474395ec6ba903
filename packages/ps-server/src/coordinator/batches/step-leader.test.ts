/** When steps close, what they are the sum of, and what a new term makes of one that was under way. */
import { describe, expect, it } from "vitest";
import { bsp, consistencyOf } from "@volary/core/consistency";
import type { Control, ControlOf } from "@volary/core/wire";
import { StepLeader } from "./step-leader.ts";

const JOB = 3;
const HEADS = 9;

/** Two nodes, three workers, three slots of 10 samples. */
function leading(quorum: number) {
  const sent: { node: number; control: Control }[] = [];
  const outcome: Record<"committed" | "dropped" | "returned", number[]> = { committed: [], dropped: [], returned: [] };
  const leader = new StepLeader({
    job: JOB,
    slots: 3,
    batchSize: 30,
    mode: consistencyOf(bsp({ quorum })),
    toNode: (node, control) => sent.push({ node, control }),
    onCommitted: (batches) => outcome.committed.push(...batches),
    onDropped: (batches) => outcome.dropped.push(...batches),
    onReturned: (batches) => outcome.returned.push(...batches),
  });
  let term = 0;
  const beginTerm = () => leader.beginTerm({ term: ++term, heads: HEADS, nodes: [1, 2], members: [11, 12, 13] });
  const promise = (node: number, step: number, { attempt = step && 1, whole = true } = {}) =>
    leader.onAnswer(node, {
      type: "promise",
      job: JOB,
      term,
      heads: HEADS,
      committed: { step, attempt },
      whole,
    });
  const give = (batch: number) => leader.add({ worker: 40 + batch, batch, samples: 10 });
  const slotIn = (node: number, slot: number, { step = 1, attempt = 1, heads = HEADS } = {}) =>
    leader.onAnswer(node, { type: "slot-in", job: JOB, step, attempt, slot, heads });
  const answer = (type: "staged" | "committed", node: number, { step = 1, attempt = 1, heads = HEADS } = {}) =>
    leader.onAnswer(node, { type, job: JOB, step, attempt, heads });
  /** What a node was told since the last look. */
  const told = (node: number) => {
    const all = sent.filter((each) => each.node === node).map(({ control }) => control);
    sent.splice(0, sent.length, ...sent.filter((each) => each.node !== node));
    return all;
  };
  /** A batch comes in whole. */
  const arrive = (batch: number, slot: number) => {
    slotIn(1, slot);
    slotIn(2, slot);
    leader.onDone(batch);
  };
  beginTerm();
  promise(1, 0);
  promise(2, 0);
  told(1);
  told(2);
  return { leader, outcome, told, beginTerm, promise, give, slotIn, answer, arrive };
}

const types = (controls: readonly Control[]) => controls.map(({ type }) => type);

describe("a step", () => {
  it("of a new term starts once all nodes have promised", () => {
    const { told, beginTerm, promise, leader } = leading(1);
    beginTerm();
    promise(1, 0);
    expect(types(told(1))).toEqual(["fence"]);
    expect(leader.hasRoom).toBe(false);
    promise(2, 0);
    expect(told(1)).toEqual([
      { type: "start", job: JOB, heads: HEADS, step: 1, attempt: 2, term: 2, slots: 3, members: [11, 12, 13] },
    ]);
    expect(leader.hasRoom && leader.isIdle).toBe(true);
  });

  it("waits for all slots without a quorum, each at all nodes and done", () => {
    const { give, arrive, slotIn, told, leader } = leading(1);
    expect([7, 8, 9].map(give).map(({ slot }) => slot)).toEqual([0, 1, 2]);
    expect(leader.hasRoom).toBe(false);
    arrive(8, 1);
    arrive(7, 0);
    leader.onDone(9);
    slotIn(1, 2);
    expect(told(1)).toEqual([]);
    slotIn(2, 2);
    const close = { type: "close", job: JOB, heads: HEADS, step: 1, attempt: 1, term: 1, slots: [0, 1, 2], scale: 1 };
    expect([told(1), told(2)]).toEqual([[close], [close]]);
  });

  it("closes with a quorum, drops the others, and scales what is in", () => {
    const { give, arrive, told, outcome, answer } = leading(0.6);
    [7, 8, 9].forEach(give);
    arrive(9, 2);
    expect(told(1)).toEqual([]);
    arrive(7, 0);
    expect(told(1)).toMatchObject([{ type: "close", slots: [0, 2], scale: 1.5 }]);
    expect(outcome).toEqual({ committed: [], dropped: [8], returned: [] });
    arrive(8, 1); // too late
    answer("staged", 1);
    answer("staged", 2);
    expect(types(told(1))).toEqual(["commit"]);
    answer("committed", 1);
    expect(outcome.committed).toEqual([]);
    answer("committed", 2);
    expect(outcome).toEqual({ committed: [7, 9], dropped: [8], returned: [] });
  });

  it("knows whose slots it has, so that nobody gets a second one that would be dropped", () => {
    const { leader, give, arrive } = leading(0.6);
    give(7);
    arrive(7, 0);
    expect([leader.isIn(47), leader.isIn(48)]).toEqual([true, false]);
  });

  it("with fewer batches than slots waits for no more than there are", () => {
    const { give, arrive, told } = leading(1);
    give(7);
    arrive(7, 0);
    expect(told(2)).toMatchObject([{ type: "close", slots: [0], scale: 3 }]);
  });

  it("that is late closes with what is in, but not with nothing", () => {
    const { give, arrive, told, leader, outcome } = leading(1);
    [7, 8, 9].forEach(give);
    leader.closeLate();
    expect(told(1)).toEqual([]);
    arrive(8, 1);
    leader.closeLate();
    leader.closeLate();
    expect(told(1)).toMatchObject([{ type: "close", slots: [1], scale: 3 }]);
    expect(outcome.dropped).toEqual([7, 9]);
  });

  it("follows the one before without another start, and takes no word of that one", () => {
    const { give, arrive, answer, told, leader, slotIn } = leading(1);
    give(7);
    arrive(7, 0);
    for (const type of ["staged", "committed"] as const) [1, 2].forEach((node) => answer(type, node));
    told(1);
    expect(give(8)).toEqual({ step: 2, attempt: 1, slot: 0 });
    slotIn(1, 0);
    slotIn(2, 0);
    leader.onDone(8);
    expect(told(1)).toEqual([]);
    slotIn(1, 0, { step: 2 });
    slotIn(2, 0, { step: 2, heads: HEADS - 1 });
    expect(told(1)).toEqual([]);
    slotIn(2, 0, { step: 2 });
    expect(types(told(1))).toEqual(["close"]);
  });
});

describe("a new term", () => {
  /** A step of one batch, up to a point. */
  function under(way: "given" | "closed" | "staged" | "committing") {
    const all = leading(1);
    all.give(7);
    if (way !== "given") all.arrive(7, 0);
    if (way === "staged" || way === "committing") all.answer("staged", 1);
    if (way === "committing") all.answer("staged", 2);
    all.told(1);
    all.told(2);
    return all;
  }

  it.each(["given", "closed", "staged"] as const)("returns the batches of a step that is %s at once", (way) => {
    const { beginTerm, outcome, promise, told } = under(way);
    beginTerm();
    expect(outcome).toEqual({ committed: [], dropped: [], returned: [7] });
    promise(1, 0);
    promise(2, 0);
    expect(types(told(1))).toEqual(["fence", "start"]);
    expect(outcome.returned).toEqual([7]);
  });

  it("returns a step whose commit reached nobody, when all have said so", () => {
    const { beginTerm, outcome, promise, give } = under("committing");
    beginTerm();
    promise(1, 0);
    expect(outcome.returned).toEqual([]);
    promise(2, 0);
    expect(outcome).toEqual({ committed: [], dropped: [], returned: [7] });
    expect(give(7)).toEqual({ step: 1, attempt: 2, slot: 0 });
  });

  it("finishes a step that some have committed, and counts it once", () => {
    const { beginTerm, outcome, promise, answer, told, give } = under("committing");
    answer("committed", 1);
    beginTerm();
    promise(1, 1);
    promise(2, 0);
    const commits = told(2).filter((control): control is ControlOf<"commit"> => control.type === "commit");
    expect(commits).toMatchObject([{ step: 1, attempt: 1, term: 2 }]);
    expect(outcome.committed).toEqual([]);
    answer("committed", 2);
    answer("committed", 2);
    expect(outcome).toEqual({ committed: [7], dropped: [], returned: [] });
    expect(give(8)).toEqual({ step: 2, attempt: 2, slot: 0 });
  });

  it("and one more before the first has recovered change nothing of that", () => {
    const { beginTerm, outcome, promise } = under("committing");
    beginTerm();
    promise(1, 1);
    beginTerm();
    promise(1, 1);
    promise(2, 1);
    expect(outcome).toEqual({ committed: [7], dropped: [], returned: [] });
  });
});

it("repeats to a node what that has not answered, after a word of who asks", () => {
  const { leader, told, give, arrive, answer, beginTerm } = leading(1);
  const repeats = () => {
    leader.resend(2);
    return types(told(2));
  };
  expect(repeats()).toEqual(["fence", "start"]);
  give(7);
  arrive(7, 0);
  told(2);
  expect(repeats()).toEqual(["fence", "start", "close"]);
  answer("staged", 2);
  expect(repeats()).toEqual(["fence", "start"]);
  answer("staged", 1);
  told(2);
  expect(repeats()).toEqual(["fence", "commit"]);
  answer("committed", 2);
  expect(repeats()).toEqual([]);
  beginTerm();
  told(2);
  expect(repeats()).toEqual(["fence"]);
  leader.resend(5);
  expect(told(5)).toEqual([]);
});
