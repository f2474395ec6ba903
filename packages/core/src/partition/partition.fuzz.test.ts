/**
 * Messages of several leaders and workers reach a partition in any order, any number of times. Each gradient is a
 * different number, so the weight tells exactly which were applied.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { sgd } from "../optimizer/index.ts";
import { Partition } from "./partition.ts";
import type { Committed } from "./step-state.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

const TABLE: TableSpec = {
  id: 1,
  name: "t",
  dim: 1,
  initializer: { kind: "zeros" },
  optimizer: sgd({ learningRate: 1 }),
};
const SLOTS = 2;

type Message =
  | { type: "promise"; term: number }
  | { type: "start"; step: number; attempt: number; term: number }
  | { type: "push"; step: number; attempt: number; slot: number }
  | { type: "commit"; step: number; attempt: number; term: number };

function open(): Partition {
  return new Partition({
    partition: 0,
    partitions: 1,

    seed: 0,
    tables: [TABLE],
    mode: consistencyOf(bsp()),
    share: testShare(),
  });
}

/** A different number for each push, small enough for exact sums in float32. */
function gradientOf({ step, attempt, slot }: { step: number; attempt: number; slot: number }): number {
  return 1 + 7 * slot + 31 * attempt + 1009 * step;
}

function deliver(p: Partition, m: Message): unknown {
  switch (m.type) {
    case "promise":
      return p.promise(m.term);
    case "start":
      return p.start({ ...m, slots: SLOTS });
    case "push":
      return p.receive({ ...m, segment: segmentOf({ table: 1, keys: [5], values: [gradientOf(m)] }) });
    case "commit":
      return p.commit(m);
  }
}

function weight(p: Partition): number {
  return weightsOf(p, segmentOf({ table: 1, keys: [5], values: [] }))[0]!;
}

/** Minus the sum of all slots of the steps that were committed, each in its attempt. */
function weightOf(history: readonly Committed[]): number {
  let sum = 0;
  for (const { step, attempt } of history)
    for (let slot = 0; slot < SLOTS; slot++) sum += gradientOf({ step, attempt, slot });
  return 0 - sum;
}

const step = fc.integer({ min: 0, max: 6 });
const attempt = fc.integer({ min: 1, max: 3 });
const anything: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constant("promise"), term: attempt }),
  fc.record({ type: fc.constant("start"), step, attempt, term: attempt }),
  fc.record({ type: fc.constant("push"), step, attempt, slot: fc.nat(SLOTS - 1) }),
  fc.record({ type: fc.constant("commit"), step, attempt, term: attempt }),
);

/** What an undisturbed attempt sends for some steps, in order. */
const orderly: fc.Arbitrary<Message[]> = fc
  .record({ attempt, from: fc.integer({ min: 1, max: 4 }), steps: fc.integer({ min: 1, max: 3 }) })
  .map(({ attempt: a, from, steps }) => [
    { type: "promise", term: a },
    { type: "start", step: from, attempt: a, term: a },
    ...Array.from({ length: steps }, (_, i): Message[] => [
      { type: "push", step: from + i, attempt: a, slot: 1 },
      { type: "push", step: from + i, attempt: a, slot: 0 },
      { type: "commit", step: from + i, attempt: a, term: a },
    ]).flat(),
  ]);

/** Runs of order among noise, each message up to three times, and some of them moved. */
const schedules = fc
  .array(fc.oneof({ weight: 2, arbitrary: orderly }, { weight: 1, arbitrary: fc.array(anything, { maxLength: 6 }) }), {
    maxLength: 8,
  })
  .map((parts) => parts.flat())
  .chain((messages) =>
    fc
      .array(fc.record({ copies: fc.integer({ min: 1, max: 3 }), delay: fc.constantFrom(0, 0, 0, 0, 3, 12) }), {
        minLength: messages.length,
        maxLength: messages.length,
      })
      .map((fates) =>
        messages
          .flatMap((message, i) =>
            Array.from({ length: fates[i]!.copies }, (_, copy) => ({
              message,
              at: i + (copy === 0 ? 0 : fates[i]!.delay),
            })),
          )
          .sort((a, b) => a.at - b.at)
          .map(({ message }) => message),
      ),
  );

test("no push is applied twice, none of an uncommitted attempt at all, and steps commit one by one", () => {
  let commits = 0;
  fc.assert(
    fc.property(schedules, (messages) => {
      const p = open();
      const history: Committed[] = [];
      for (const message of messages) {
        const before = { committed: p.committed, promised: p.promised, staged: p.staged };
        const answer = deliver(p, message);
        if (answer === "committed") {
          expect(before.staged).toBe(true);
          expect(p.committed.step).toBe(before.committed.step + 1);
          history.push(p.committed);
        } else {
          expect(p.committed).toEqual(before.committed);
        }
        if ("term" in message && message.term < before.promised) {
          expect(["refused", { kind: "refused" }]).toContainEqual(
            typeof answer === "string" ? answer : { kind: (answer as { kind: string }).kind },
          );
          expect(p.staged).toBe(before.staged);
        }
        expect(p.promised).toBeGreaterThanOrEqual(before.promised);
        if (message.type === "promise") expect(p.staged).toBe(before.staged);
      }
      expect(history.map((committed) => committed.step)).toEqual(history.map((_, i) => i + 1));
      expect(weight(p)).toBe(weightOf(history));
      commits += history.length;
    }),
    { numRuns: 1500 },
  );
  expect(commits).toBeGreaterThan(500); // the schedules are not all noise
});

/**
 * The leader of one term, as in ARCHITECTURE.md: fence, finish what one partition has committed, else start the step
 * anew; then push and commit, step by step. What it sends may arrive at any time, also after it is dead.
 */
class Leader {
  readonly #term: number;
  readonly #partitions: number;
  readonly #send: (to: number, message: Message) => void;
  #promised = new Map<number, Committed>();
  /** Who has answered what the leader waits for. */
  #answered = new Set<number>();
  #step = 0;
  #phase: "fencing" | "finishing" | "staging" | "committing" = "fencing";

  constructor(term: number, partitions: number, send: (to: number, message: Message) => void) {
    this.#term = term;
    this.#partitions = partitions;
    this.#send = send;
    this.#sendAll(() => ({ type: "promise", term }));
  }

  hear(from: number, message: Message, answer: unknown, p: Partition): void {
    const term = this.#term;
    if (message.type === "promise" && message.term === term && this.#phase === "fencing") {
      this.#promised.set(from, (answer as { committed: Committed }).committed);
      if (this.#promised.size === this.#partitions) this.#recover();
    } else if (p.staged && p.attempt === term && p.committed.step === this.#step - 1) {
      this.#advance("staging", from, () => this.#commit("committing", term));
    } else if (
      message.type === "commit" &&
      message.term === term &&
      answer !== "refused" &&
      message.step === this.#step
    ) {
      this.#advance("committing", from, () => this.#push(this.#step + 1));
      this.#advance("finishing", from, () => this.#start(this.#step + 1));
    }
  }

  #recover(): void {
    const all = [...this.#promised.values()];
    const newest = all.reduce((a, b) => (b.step > a.step ? b : a));
    this.#step = newest.step;
    if (all.some(({ step: s }) => s < newest.step)) this.#commit("finishing", newest.attempt);
    else this.#start(newest.step + 1);
  }

  #start(at: number): void {
    this.#sendAll(() => ({ type: "start", step: at, attempt: this.#term, term: this.#term }));
    this.#push(at);
  }

  #push(at: number): void {
    this.#step = at;
    this.#await("staging");
    for (let slot = 0; slot < SLOTS; slot++)
      this.#sendAll(() => ({ type: "push", step: at, attempt: this.#term, slot }));
  }

  #commit(phase: "finishing" | "committing", attemptToCommit: number): void {
    this.#await(phase);
    this.#sendAll(() => ({ type: "commit", step: this.#step, attempt: attemptToCommit, term: this.#term }));
  }

  #await(phase: "finishing" | "staging" | "committing"): void {
    this.#phase = phase;
    this.#answered = new Set();
  }

  #advance(phase: string, from: number, then: () => void): void {
    if (this.#phase !== phase) return;
    this.#answered.add(from);
    if (this.#answered.size === this.#partitions) then();
  }

  #sendAll(message: () => Message): void {
    for (let to = 0; to < this.#partitions; to++) this.#send(to, message());
  }
}

/** What happens next: deliver one of the messages under way, deliver it and keep a copy, or the leader dies. */
const fate = fc.record({
  what: fc.oneof(
    { weight: 20, arbitrary: fc.constant("deliver") },
    { weight: 6, arbitrary: fc.constant("copy") },
    { weight: 1, arbitrary: fc.constant("die") },
  ),
  which: fc.nat(1000),
});

test("partitions commit the same attempt of every step, whoever leads, dies, and whenever its messages arrive", () => {
  let steps = 0;
  let deaths = 0;
  fc.assert(
    fc.property(
      fc.array(fate, { minLength: 20, maxLength: 800, size: "max" }),
      fc.integer({ min: 2, max: 3 }),
      (fates, count) => {
        const partitions = Array.from({ length: count }, open);
        const committed = new Map<number, number>();
        let underWay: { to: number; message: Message }[] = [];
        let term = 1;
        const lead = (): Leader => new Leader(term, count, (to, message) => underWay.push({ to, message }));
        let leader = lead();
        const take = (at: number, keep: boolean): void => {
          const { to, message } = underWay[at]!;
          if (!keep) underWay.splice(at, 1);
          const p = partitions[to]!;
          const answer = deliver(p, message);
          if (answer === "early") underWay.push({ to, message }); // the node parks it
          if (answer === "committed") {
            const { step: s, attempt: a } = p.committed;
            expect(committed.get(s) ?? a).toBe(a);
            committed.set(s, a);
          }
          leader.hear(to, message, answer, p);
        };
        for (const { what, which } of fates) {
          if (what === "die") {
            term += 1;
            deaths += 1;
            leader = lead();
          } else if (underWay.length > 0) {
            take(which % underWay.length, what === "copy");
          }
        }

        const goal = Math.max(...partitions.map((p) => p.committed.step)) + 1;
        underWay = underWay.filter(({ message }) => message.type !== "push");
        term += 1;
        leader = lead();
        for (let i = 0; i < 2000 && partitions.some((p) => p.committed.step < goal); i++) take(0, false);
        const history = Array.from({ length: goal }, (_, i) => ({ step: i + 1, attempt: committed.get(i + 1)! }));
        for (const p of partitions) {
          expect(p.committed.step).toBe(goal);
          expect(weight(p)).toBe(weightOf(history));
        }
        steps += goal;
      },
    ),
    { numRuns: 400 },
  );
  expect(steps).toBeGreaterThan(1000);
  expect(deaths).toBeGreaterThan(1000);
});
