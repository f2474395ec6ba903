import { describe, expect, test } from "vitest";
import { NO_SABOTAGE } from "../../sabotage.ts";
import { LOST, type StepEffect, type StepEvent } from "./step-events.ts";
import { StepTransaction } from "./step-transaction.ts";

const NODES = [1, 2];
const MEMBERS = [10, 11];
/** Of the dense state that all have. */
const HASH = "0123456789abcdef".repeat(2);

function machine({ worker = 10, stepsMax = 5, applied = 0, sabotages = NO_SABOTAGE } = {}) {
  const transaction = new StepTransaction({ worker, stepsMax, applied, sabotages });
  const feed = (...events: StepEvent[]): StepEffect[] => events.flatMap((event) => transaction.handle(event));
  return { transaction, feed };
}

const kinds = (effects: StepEffect[]) => effects.map((e) => e.kind);
const pulled = (node: number, step: number, attempt = 1): StepEvent => ({
  kind: "pulled",
  node,
  step,
  committed: { step: step - 1, attempt: step === 1 ? 0 : attempt },
});
const begin = (term: number, members: readonly number[] = MEMBERS, nodes: readonly number[] = NODES): StepEvent => ({
  kind: "term",
  term,
  members,
  nodes,
});
const promise = (node: number, term: number, step: number, attempt: number, whole = true): StepEvent => ({
  kind: "promise",
  node,
  term,
  committed: { step, attempt },
  whole,
});
const lease = (term: number): StepEvent => ({ kind: "lease", term, to: 100 });

/** A leader that has computed, pushed and reduced `step` in term 1. */
function leaderAt(step: number) {
  const m = machine();
  m.feed(begin(1), lease(1), promise(1, 1, 0, 0), promise(2, 1, 0, 0));
  for (let s = 1; s <= step; s++) {
    m.feed(
      pulled(1, s),
      pulled(2, s),
      { kind: "computed", step: s, attempt: 1 },
      { kind: "reduced", step: s, attempt: 1, hash: HASH },
    );
    if (s < step) m.feed(...whole(s));
  }
  return m;
}

const whole = (step: number, attempt = 1): StepEvent[] => [
  { kind: "staged", node: 1, step, attempt },
  { kind: "staged", node: 2, step, attempt },
  { kind: "held", rank: 1, step, attempt, hash: HASH },
];

describe("StepTransaction", () => {
  test("a step is not committed where a worker has other dense weights, and the job fails, naming it", () => {
    const { feed } = leaderAt(1);
    const [one, two] = whole(1);
    expect(feed(one!, two!)).toEqual([]);
    const other = "f".repeat(32);
    expect(feed({ kind: "held", rank: 1, step: 1, attempt: 1, hash: other })).toEqual([
      {
        kind: "fail",
        code: "WEIGHTS_DIFFER",
        message: expect.stringMatching(/^at step 1 the dense weights of worker 11 are not those of worker 10: /),
      },
    ]);
    expect(feed({ kind: "held", rank: 1, step: 1, attempt: 1, hash: HASH })).toEqual([]);
  });

  test("a new leader fences every node before anything else", () => {
    const { feed } = machine();
    expect(kinds(feed(begin(1)))).toEqual(["suspend", "send-fence", "send-fence"]);
    expect(feed(promise(1, 1, 0, 0))).toEqual([]);
    expect(kinds(feed(promise(2, 1, 0, 0)))).toEqual([
      "send-start-to-node",
      "send-start-to-node",
      "send-start-to-worker",
      "prepare",
    ]);
  });

  test("a follower waits for the leader's start", () => {
    const { feed } = machine({ worker: 11 });
    expect(kinds(feed(begin(1)))).toEqual(["suspend"]);
    expect(kinds(feed({ kind: "start", step: 1, attempt: 1, members: MEMBERS, owners: [] }))).toEqual(["prepare"]);
  });

  test("the leader commits only when every node has staged and every rank holds", () => {
    const events = whole(1);
    for (const left of events.keys()) {
      const { feed } = leaderAt(1);
      expect(feed(...events.filter((_, i) => i !== left))).toEqual([]);
      expect(kinds(feed(events[left]!))).toEqual(["send-commit", "send-commit"]);
    }
  });

  test("a repeated staged or held does not stand for another", () => {
    const { feed } = leaderAt(1);
    const [a, , c] = whole(1);
    expect(feed(a!, a!, a!, c!, c!)).toEqual([]);
  });

  test("the dense result is applied at the first answer to the next pull, once", () => {
    const { feed } = leaderAt(1);
    feed(...whole(1));
    expect(kinds(feed(pulled(2, 2)))).toEqual(["apply", "report-commit"]);
    expect(kinds(feed(pulled(1, 2)))).toEqual(["compute"]);
    expect(feed(pulled(1, 2), pulled(2, 2))).toEqual([]);
  });

  test("nothing is pushed without a lease", () => {
    const { feed } = machine();
    feed(begin(1, [10]), promise(1, 1, 0, 0), promise(2, 1, 0, 0), pulled(1, 1), pulled(2, 1));
    expect(kinds(feed({ kind: "computed", step: 1, attempt: 1 }))).toEqual(["request-lease"]);
    expect(kinds(feed(lease(1)))).toEqual(["push", "reduce", "prepare"]);
  });

  test("a step that one node has committed is finished on the others under the new term", () => {
    const { transaction, feed } = leaderAt(2);
    feed(begin(4, [10]));
    feed(promise(1, 4, 2, 1));
    const finishing = feed(promise(2, 4, 1, 1));
    expect(finishing).toEqual(NODES.map((node) => ({ kind: "send-commit", node, step: 2, attempt: 1, term: 4 })));
    const started = feed({ kind: "committed", node: 2, step: 2, attempt: 1 });
    expect(kinds(started)).toEqual(["apply", "send-start-to-node", "send-start-to-node", "report-commit", "prepare"]);
    expect(transaction.applied).toBe(2);
    expect(transaction.running).toMatchObject({ step: 3, attempt: 4 });
  });

  test("a step that a part of a node's partitions have committed is finished on all", () => {
    for (const [one, other] of [
      [promise(1, 4, 2, 1, false), promise(2, 4, 2, 1)],
      [promise(1, 4, 2, 1, false), promise(2, 4, 1, 1)],
      [promise(1, 4, 2, 1, false), promise(2, 4, 2, 1, false)],
    ] as const) {
      const { transaction, feed } = leaderAt(2);
      feed(begin(4, [10]), other);
      const finishing = feed(one);
      expect(finishing).toEqual(NODES.map((node) => ({ kind: "send-commit", node, step: 2, attempt: 1, term: 4 })));
      expect(kinds(feed({ kind: "resend", node: 1 }))).toEqual(["send-commit"]);
      feed({ kind: "committed", node: 2, step: 2, attempt: 1 });
      expect(transaction.running).toBeUndefined();
      expect(kinds(feed({ kind: "committed", node: 1, step: 2, attempt: 1 }))).toContain("prepare");
      expect(transaction.running).toMatchObject({ step: 3, attempt: 4 });
    }
  });

  test("a node that is whole already need not answer the commit again, and one that is not must", () => {
    const { feed } = leaderAt(2);
    feed(begin(4, [10]), promise(1, 4, 2, 1), promise(2, 4, 2, 1, false));
    expect(feed({ kind: "committed", node: 1, step: 2, attempt: 1 })).toEqual([]);
    expect(feed({ kind: "resend", node: 1 })).toEqual([]);
    expect(kinds(feed({ kind: "committed", node: 2, step: 2, attempt: 1 }))).toContain("send-start-to-node");
  });

  test("partitions that are two steps apart are a broken invariant", () => {
    const { feed } = leaderAt(2);
    feed(begin(4, [10]), promise(1, 4, 2, 1));
    expect(() => feed(promise(2, 4, 1, 1, false))).toThrow("more than one committed step");
    const other = leaderAt(2);
    other.feed(begin(4, [10]), promise(1, 4, 2, 1));
    expect(() => other.feed(promise(2, 4, 0, 0))).toThrow("more than one committed step");
  });

  test("a step that no node has committed is dropped and started anew with the same step number", () => {
    const { feed, transaction } = leaderAt(2);
    feed(begin(2, [10]), promise(1, 2, 1, 1));
    const effects = feed(promise(2, 2, 1, 1));
    expect(kinds(effects)).toEqual(["send-start-to-node", "send-start-to-node", "report-commit", "drop", "prepare"]);
    expect(transaction.running).toMatchObject({ step: 2, attempt: 2 });
  });

  test("promises of older terms do not count", () => {
    const { feed } = leaderAt(1);
    feed(begin(3, [10]));
    expect(feed(promise(1, 2, 0, 0), promise(2, 2, 0, 0), promise(1, 3, 0, 0))).toEqual([]);
  });

  test("while suspended nothing is committed, even when the last word arrives late", () => {
    const { feed } = leaderAt(1);
    feed(begin(2));
    expect(feed(...whole(1))).toEqual([]);
    expect(
      feed({ kind: "computed", step: 1, attempt: 1 }, { kind: "reduced", step: 1, attempt: 1, hash: HASH }),
    ).toEqual([]);
  });

  test("starts of older attempts and repeated starts change nothing", () => {
    const { feed } = machine({ worker: 11 });
    feed(begin(5));
    expect(feed({ kind: "start", step: 1, attempt: 4, members: MEMBERS, owners: [] })).toEqual([]);
    expect(feed({ kind: "start", step: 1, attempt: 5, members: MEMBERS, owners: [] })).toHaveLength(1);
    expect(feed({ kind: "start", step: 1, attempt: 5, members: MEMBERS, owners: [] })).toEqual([]);
  });

  test("a start that overtakes the coordinator's word waits for it", () => {
    const { feed, transaction } = machine({ worker: 11 });
    expect(feed({ kind: "start", step: 1, attempt: 3, members: MEMBERS, owners: [] })).toEqual([]);
    expect(feed({ kind: "start", step: 1, attempt: 2, members: [11], owners: [] })).toEqual([]);
    expect(kinds(feed(begin(3)))).toEqual(["suspend", "prepare"]);
    expect(transaction.running).toMatchObject({ step: 1, attempt: 3, members: MEMBERS });
  });

  test("what the leader of a term says that was passed over counts for nothing", () => {
    const { feed, transaction } = machine({ worker: 11 });
    expect(feed({ kind: "start", step: 1, attempt: 3, members: MEMBERS, owners: [] })).toEqual([]);
    expect(kinds(feed(begin(4)))).toEqual(["suspend"]);
    expect(feed(begin(3))).toEqual([]);
    expect(transaction.running).toBeUndefined();
  });

  test("a joiner waits for the dense state of the step before", () => {
    const { feed } = machine({ worker: 12 });
    feed(begin(2, [10, 12]));
    expect(feed({ kind: "start", step: 4, attempt: 2, members: [10, 12], owners: [] })).toEqual([]);
    expect(feed({ kind: "dense-state", step: 2, attempt: 2 })).toEqual([]);
    expect(feed({ kind: "dense-state", step: 3, attempt: 1 })).toEqual([]);
    expect(kinds(feed({ kind: "dense-state", step: 3, attempt: 2 }))).toEqual(["restore", "prepare"]);
    expect(feed({ kind: "dense-state", step: 3, attempt: 2 })).toEqual([]);
  });

  test("the leader gives a joiner the dense state, but not a member it has started before", () => {
    const { feed } = leaderAt(2);
    feed(begin(2, [10, 11, 12]), promise(1, 2, 1, 1));
    const effects = feed(promise(2, 2, 1, 1));
    expect(effects.filter((e) => e.kind === "send-dense-state")).toEqual([
      { kind: "send-dense-state", worker: 12, step: 1, attempt: 2 },
    ]);
  });

  test("a joiner whose start overtook the coordinator's word takes the dense state before or after it", () => {
    const start: StepEvent = { kind: "start", step: 4, attempt: 2, members: [10, 12], owners: [] };
    const dense: StepEvent = { kind: "dense-state", step: 3, attempt: 2 };
    const term = begin(2, [10, 12]);
    for (const order of [
      [start, dense, term],
      [start, term, dense],
    ]) {
      const { feed } = machine({ worker: 12 });
      expect(kinds(feed(...order))).toEqual(["suspend", "restore", "prepare"]);
    }
  });

  test("a joiner that was started but never held a result is given the dense state again", () => {
    const { feed } = leaderAt(2);
    feed(begin(2, [10, 12]), promise(1, 2, 1, 1), promise(2, 2, 1, 1));
    feed(begin(3, [10, 12]), promise(1, 3, 1, 1));
    expect(kinds(feed(promise(2, 3, 1, 1)))).toContain("send-dense-state");
  });

  describe("who held the result of the step before, by rank,", () => {
    const reduceOf = (effects: StepEffect[]) => effects.find((e) => e.kind === "reduce");
    const startsOf = (effects: StepEffect[]) => effects.filter((e) => e.kind === "send-start-to-worker");

    test("goes with each sum: nobody before the first step, then its members", () => {
      const m = machine();
      m.feed(begin(1), lease(1), promise(1, 1, 0, 0), promise(2, 1, 0, 0), pulled(1, 1), pulled(2, 1));
      const computed = (step: number): StepEvent => ({ kind: "computed", step, attempt: 1 });
      expect(reduceOf(m.feed(computed(1)))).toMatchObject({ members: MEMBERS, owners: [] });
      m.feed({ kind: "reduced", step: 1, attempt: 1, hash: HASH }, ...whole(1), pulled(1, 2), pulled(2, 2));
      expect(reduceOf(m.feed(computed(2)))).toMatchObject({ members: MEMBERS, owners: MEMBERS });
    });

    test("is told to all that a new leader starts, with those that are lost", () => {
      const { feed } = leaderAt(2);
      feed(begin(2, [10, 12]), promise(1, 2, 1, 1));
      expect(startsOf(feed(promise(2, 2, 1, 1)))).toMatchObject([
        { worker: 12, members: [10, 12], owners: [10, LOST] },
      ]);
    });

    test("does not count who left since, not even when it is back", () => {
      const { feed } = leaderAt(2);
      feed(begin(2, [10]), promise(1, 2, 1, 1), promise(2, 2, 1, 1));
      feed(begin(3, MEMBERS), promise(1, 3, 1, 1));
      const effects = feed(promise(2, 3, 1, 1));
      expect(startsOf(effects)).toMatchObject([{ worker: 11, members: MEMBERS, owners: [10, LOST] }]);
      expect(kinds(effects)).toContain("send-dense-state");
    });

    test("is known to a joiner that leads before it has held a result itself", () => {
      const { feed } = machine({ worker: 12 });
      feed(begin(2, [10, 11, 12]), { kind: "start", step: 4, attempt: 2, members: [10, 11, 12], owners: MEMBERS });
      feed({ kind: "dense-state", step: 3, attempt: 2 });
      feed(begin(3, [12, 11, 13]), promise(1, 3, 3, 1));
      const effects = feed(promise(2, 3, 3, 1));
      expect(startsOf(effects)).toMatchObject([
        { worker: 11, owners: [LOST, 11] },
        { worker: 13, owners: [LOST, 11] },
      ]);
      expect(effects.filter((e) => e.kind === "send-dense-state")).toMatchObject([{ worker: 13, step: 3 }]);
    });
  });

  test("a leader without the dense state fails the job instead of guessing", () => {
    const { feed } = machine();
    feed(begin(9, [10]), promise(1, 9, 7, 3));
    expect(feed(promise(2, 9, 7, 3))).toEqual([
      expect.objectContaining({ kind: "fail", message: expect.stringContaining("step 7") }),
    ]);
  });

  test("after the last step an empty pull asks for its commit, and ends the job", () => {
    const m = machine({ stepsMax: 1 });
    m.feed(begin(1, [10]), lease(1), promise(1, 1, 0, 0), promise(2, 1, 0, 0), pulled(1, 1), pulled(2, 1));
    const effects = m.feed({ kind: "computed", step: 1, attempt: 1 });
    expect(effects.at(-1)).toMatchObject({ kind: "prepare", step: 2 });
    m.feed({ kind: "reduced", step: 1, attempt: 1, hash: HASH }, ...whole(1));
    expect(kinds(m.feed(pulled(1, 2), pulled(2, 2)))).toEqual(["apply", "report-commit", "finished"]);
  });

  test("resend repeats exactly what a node has not answered", () => {
    const { feed } = leaderAt(1);
    feed(...whole(1), { kind: "committed", node: 1, step: 1, attempt: 1 });
    const again = (node: number) => kinds(feed({ kind: "resend", node }));
    expect(again(1)).toEqual(["send-fence", "send-start-to-node", "repeat-push", "repeat-pull"]);
    expect(again(2)).toEqual(["send-fence", "send-start-to-node", "send-commit", "repeat-push", "repeat-pull"]);
  });

  describe("when other nodes are the heads of partitions", () => {
    test("only those of the new term are asked and waited for, the ones that are new among them", () => {
      const { feed, transaction } = leaderAt(2);
      const fences = feed(begin(2, MEMBERS, [2, 3]));
      expect(fences.flatMap((e) => (e.kind === "send-fence" ? e.node : []))).toEqual([2, 3]);
      expect(feed(promise(2, 2, 1, 1))).toEqual([]);
      const effects = feed(promise(3, 2, 1, 1));
      expect(effects.flatMap((e) => (e.kind === "send-start-to-node" ? e.node : []))).toEqual([2, 3]);
      expect(transaction.running).toMatchObject({ step: 2, attempt: 2 });
      feed(lease(2), pulledAfter(2, 2, 1));
      expect(kinds(feed(pulledAfter(3, 2, 1)))).toEqual(["compute"]);
      feed({ kind: "computed", step: 2, attempt: 2 }, { kind: "reduced", step: 2, attempt: 2, hash: HASH });
      feed(
        { kind: "held", rank: 1, step: 2, attempt: 2, hash: HASH },
        { kind: "staged", node: 2, step: 2, attempt: 2 },
      );
      expect(feed({ kind: "staged", node: 3, step: 2, attempt: 2 })).toEqual(
        [2, 3].map((node) => ({ kind: "send-commit", node, step: 2, attempt: 2, term: 2 })),
      );
    });

    test("a new head may tell of a commit that its predecessor alone was asked for", () => {
      const { feed, transaction } = leaderAt(2);
      feed(...whole(2), begin(2, MEMBERS, [2, 3]), promise(2, 2, 1, 1));
      expect(feed(promise(3, 2, 2, 1))).toEqual(
        [2, 3].map((node) => ({ kind: "send-commit", node, step: 2, attempt: 1, term: 2 })),
      );
      feed({ kind: "committed", node: 2, step: 2, attempt: 1 });
      expect(transaction.applied).toBe(2);
      expect(transaction.running).toMatchObject({ step: 3, attempt: 2 });
    });

    test("one that fell away while a step was being finished is not waited for by the next term", () => {
      const { feed, transaction } = leaderAt(2);
      feed(begin(2, [10]), promise(1, 2, 2, 1), promise(2, 2, 1, 1));
      expect(kinds(feed(begin(3, [10], [1])))).toEqual(["suspend", "send-fence"]);
      expect(feed({ kind: "committed", node: 2, step: 2, attempt: 1 })).toEqual([]);
      expect(kinds(feed(promise(1, 3, 2, 1)))).toContain("apply");
      expect(transaction.running).toMatchObject({ step: 3, attempt: 3 });
    });

    test("terms may follow one another before anybody has promised", () => {
      const { feed, transaction } = leaderAt(2);
      feed(begin(2, MEMBERS, [2, 3]), promise(2, 2, 1, 1), begin(3, MEMBERS, [3, 4]), begin(4, MEMBERS, [2, 4]));
      expect(feed(promise(3, 3, 1, 1), promise(4, 3, 1, 1), promise(2, 2, 1, 1), promise(2, 4, 1, 1))).toEqual([]);
      feed(promise(4, 4, 1, 1));
      expect(transaction.running).toMatchObject({ step: 2, attempt: 4 });
    });

    test("nothing is repeated to a node that is none of the term's", () => {
      const { feed } = leaderAt(1);
      feed(begin(2, MEMBERS, [2, 3]));
      expect(feed({ kind: "resend", node: 1 })).toEqual([]);
      expect(kinds(feed({ kind: "resend", node: 3 }))).toEqual(["send-fence"]);
      feed(promise(2, 2, 0, 0), promise(3, 2, 0, 0));
      expect(feed({ kind: "resend", node: 1 })).toEqual([]);
    });

    test("a follower keeps what it holds until the start says what became of it", () => {
      for (const [step, effect] of [
        [2, "apply"],
        [1, "drop"],
      ] as const) {
        const { feed, transaction } = machine({ worker: 11 });
        feed(
          begin(1),
          { kind: "start", step: 1, attempt: 1, members: MEMBERS, owners: [] },
          pulled(1, 1),
          pulled(2, 1),
        );
        feed({ kind: "computed", step: 1, attempt: 1 }, { kind: "reduced", step: 1, attempt: 1, hash: HASH });
        expect(kinds(feed(begin(2, MEMBERS, [2, 3])))).toEqual(["suspend"]);
        expect(kinds(feed({ kind: "resend" }))).toEqual([]);
        expect(kinds(feed({ kind: "start", step, attempt: 2, members: MEMBERS, owners: [] }))).toEqual([
          effect,
          "prepare",
        ]);
        expect(transaction.applied).toBe(step - 1);
      }
    });
  });

  test("sabotage: a leader that does not fence starts the step after its own", () => {
    const { feed, transaction } = machine({ applied: 3, sabotages: new Set(["start-without-fence"]) });
    expect(kinds(feed(begin(1, [10])))).toEqual([
      "suspend",
      "send-start-to-node",
      "send-start-to-node",
      "report-commit",
      "prepare",
    ]);
    expect(transaction.running).toMatchObject({ step: 4, attempt: 1 });
  });

  describe("when no more steps are leased", () => {
    const noLease = (term: number): StepEvent => ({ kind: "no-lease", term });

    test("training ends after the step before the one that waits for a lease", () => {
      const { feed, transaction } = machine({ applied: 4, stepsMax: 9 });
      feed(begin(1, [10]), promise(1, 1, 4, 0), promise(2, 1, 4, 0));
      feed(pulledAfter(1, 5, 0), pulledAfter(2, 5, 0));
      expect(kinds(feed({ kind: "computed", step: 5, attempt: 1 }))).toEqual(["request-lease"]);
      expect(feed(noLease(1))).toEqual([{ kind: "finished", step: 4 }]);
      expect(feed(noLease(1), { kind: "lease", term: 1, to: 100 })).toEqual([]);
      expect(transaction.applied).toBe(4);
      expect(kinds(feed({ kind: "resend" }))).not.toContain("request-lease");
    });

    test("what is pushed is committed first, and nothing is pushed after it", () => {
      const { feed } = leaderAt(2);
      expect(feed(noLease(1))).toEqual([]);
      feed(...whole(2));
      expect(kinds(feed(pulled(1, 3), pulled(2, 3)))).toEqual(["apply", "report-commit", "compute"]);
      expect(feed({ kind: "computed", step: 3, attempt: 1 })).toEqual([{ kind: "finished", step: 2 }]);
    });

    test("a follower, or another term, is not concerned", () => {
      const follower = machine({ worker: 11 });
      follower.feed(begin(1), { kind: "start", step: 1, attempt: 1, members: MEMBERS, owners: [] });
      follower.feed(noLease(1), pulled(1, 1), pulled(2, 1));
      expect(kinds(follower.feed({ kind: "computed", step: 1, attempt: 1 }))).toEqual(["push", "reduce", "prepare"]);
      const leader = leaderAt(1);
      leader.feed(noLease(2), ...whole(1), pulled(1, 2), pulled(2, 2));
      expect(kinds(leader.feed({ kind: "computed", step: 2, attempt: 1 }))).toEqual(["push", "reduce", "prepare"]);
    });

    test("the leader of a new term asks anew, and ends after the same step", () => {
      const { feed } = leaderAt(2);
      feed(noLease(1));
      feed(begin(2, [10]), promise(1, 2, 1, 1), promise(2, 2, 1, 1));
      feed(pulledAfter(1, 2, 1), pulledAfter(2, 2, 1));
      expect(kinds(feed({ kind: "computed", step: 2, attempt: 2 }))).toEqual(["request-lease"]);
      expect(feed(noLease(2))).toEqual([{ kind: "finished", step: 1 }]);
    });
  });
});

/** The first pull of a term, answered by a node that committed the step before as `attempt`. */
function pulledAfter(node: number, step: number, attempt: number): StepEvent {
  return { kind: "pulled", node, step, committed: { step: step - 1, attempt } };
}
