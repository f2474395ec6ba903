/** Dense gradients of several workers, in each form, replicated and sharded, while frames come in any order and members change. */
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../errors.ts";
import type { WireSpec } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { adam, sgd, type OptimizerSpec } from "../../optimizer/index.ts";
import { seededRandom } from "../../testing/index.ts";
import { copyOfFrame, frame, type Frame } from "../../wire/index.ts";
import { DenseExchange, sumsOf, type DenseResult } from "./dense-exchange.ts";
import { DenseState } from "./dense-state.ts";
import { ShardedState } from "./sharded-state.ts";

const FLOATS = 1201;
/** Enough for forms that lose something: few floats travel as they are. */
const MANY_FLOATS = 42_000;
const FOUR: readonly number[] = [1, 2, 3, 4];

const SGD = sgd({ learningRate: 0.1 });
const ADAM = adam({ learningRate: 0.01 });

interface StateOptions {
  floats: number;
  optimizer: OptimizerSpec;
  dense?: "sharded" | undefined;
}

function stateOf({ floats, optimizer, dense }: StateOptions): DenseState | ShardedState {
  const weights = Float32Array.from({ length: floats }, (_, i) => (i % 101) / 100);
  const variables = [{ name: "w", shape: [floats], trainable: true }];
  const manifest = { compile: { optimizer }, model: { variables } };
  if (dense === "sharded") return new ShardedState({ weights, manifest, rangeOf: sumsOf(floats) });
  return new DenseState({ weights, manifest });
}

/** What a worker brings to a step: gradients, and a loss. */
function gradientsOf(id: number, { floats, step }: { floats: number; step: number }): Float32Array {
  const data = Float32Array.from({ length: floats + 1 }, (_, i) => ((i * (id + 7 * step)) % 1009) / 500 - 1);
  data[floats] = lossOf(id, step);
  return data;
}

interface GroupOptions {
  dense?: "sharded";
  wire?: WireSpec;
  optimizer?: OptimizerSpec;
  floats?: number;
  seed?: number;
}

interface Worker {
  exchange: DenseExchange;
  state: DenseState | ShardedState;
  held: boolean;
  applied: number;
  results: DenseResult[];
}

/** Workers with links that keep their order, each of which is as slow as it likes. */
class Group {
  readonly workers = new Map<number, Worker>();
  readonly log: string[] = [];
  /** Frames that were sent, by opcode. */
  readonly sent: Frame["opcode"][] = [];
  owners: readonly number[] = [];
  attempt = 1;
  step = 0;
  readonly #o: Required<Pick<GroupOptions, "floats" | "optimizer">> & GroupOptions;
  readonly #links = new Map<string, { to: number; f: Frame }[]>();
  readonly #random: ReturnType<typeof seededRandom>;

  constructor(o: GroupOptions = {}) {
    this.#o = { floats: FLOATS, optimizer: ADAM, ...o };
    this.#random = seededRandom(o.seed ?? 1);
  }

  join(...ids: number[]): this {
    const { floats, optimizer, dense, wire } = this.#o;
    for (const id of ids) {
      const state = stateOf({ floats, optimizer, dense });
      const other = this.workers.get(this.owners[0] ?? id);
      if (other) state.restore(other.state.snapshot());
      const worker: Worker = {
        state,
        held: false,
        applied: this.step,
        results: [],
        exchange: new DenseExchange({
          job: 1,
          worker: id,
          wire,
          send: (to, f, onSent) => {
            this.#send(`${id} → ${to}`, { to, f: copyOfFrame(f) });
            onSent?.();
          },
          awaits: ({ step, attempt }) => attempt >= this.attempt && step > worker.applied,
          held: () => (worker.held = true),
          log: (line) => this.log.push(line),
        }),
      };
      this.workers.set(id, worker);
    }
    return this;
  }

  lose(id: number): void {
    this.workers.delete(id);
    for (const [link, frames] of this.#links)
      if (link.startsWith(`${id} `) || frames[0]?.to === id) this.#links.delete(link);
  }

  /** Begins the next step over `members`, one after another, and lets so many frames pass: some come before. */
  begin(members: readonly number[], frames = Infinity): void {
    for (const [rank, id] of members.entries()) {
      this.#pass(Math.min(frames, this.#random.below(8)));
      const { exchange, state } = this.workers.get(id)!;
      exchange.begin({
        step: this.step + 1,
        attempt: this.attempt,
        rank,
        members,
        owners: this.owners,
        data: this.#gradientsOf(id),
        shard: state instanceof ShardedState ? state : undefined,
      });
    }
    this.#pass(frames);
  }

  /** Gives up what is under way: its frames may come yet. */
  abandon(): void {
    this.attempt++;
    for (const worker of this.workers.values()) {
      worker.exchange.drop();
      worker.held = false;
    }
    this.owners = this.owners.map((id) => (this.workers.has(id) ? id : 0));
  }

  /** Commits what all members hold. */
  commit(members: readonly number[]): void {
    this.step++;
    for (const id of members) {
      const worker = this.workers.get(id)!;
      expect(worker.held).toBe(true);
      worker.held = false;
      const result = worker.exchange.commit();
      worker.results.push({ ...result, values: result.values.slice() });
      worker.applied = this.step;
      if (worker.state instanceof ShardedState) worker.state.apply({ gathered: result.values, step: this.step });
      else worker.state.update({ grads: result.values, step: this.step });
    }
    this.owners = members;
  }

  train({ members = FOUR, steps = 1 }: { members?: readonly number[]; steps?: number } = {}): this {
    for (let i = 0; i < steps; i++) {
      this.begin(members);
      this.commit(members);
    }
    return this;
  }

  #gradientsOf(id: number): Float32Array {
    const { floats } = this.#o;
    return gradientsOf(id, { floats, step: this.step + 1 });
  }

  /** That all members of the last step have. */
  get weights(): Float32Array {
    const [first, ...others] = this.owners.flatMap((id) => this.workers.get(id)?.state.weights ?? []);
    for (const other of others) expect(same(first!, other)).toBe(true);
    return first!;
  }

  get losses(): number[] {
    return this.workers.get(this.owners[0]!)!.results.map(({ loss }) => loss);
  }

  #send(link: string, message: { to: number; f: Frame }): void {
    this.sent.push(message.f.opcode);
    if (!this.workers.has(message.to)) return;
    this.#links.set(link, [...(this.#links.get(link) ?? []), message]);
  }

  #pass(frames: number): void {
    for (let i = 0; i < frames; i++) {
      const busy = [...this.#links.values()].filter((queue) => queue.length > 0);
      if (busy.length === 0) return;
      const { to, f } = busy[this.#random.below(busy.length)]!.shift()!;
      const worker = this.workers.get(to)!;
      worker.exchange.take(f);
    }
  }
}

const lossOf = (id: number, step: number) => Math.fround(1 / (3 * id + step));

/** In the order of few members, whose losses are summed in pairs. */
const sumOfLosses = (step: number) =>
  Math.fround(Math.fround(lossOf(1, step) + lossOf(2, step)) + Math.fround(lossOf(3, step) + lossOf(4, step)));

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((x, i) => Object.is(x, b[i]));
}

/** The greatest difference between two vectors. */
const difference = (a: Float32Array, b: Float32Array) => a.reduce((max, x, i) => Math.max(max, Math.abs(x - b[i]!)), 0);

/** One worker that has all of the state, and sums as a ring of the members of each step does. */
class Serial {
  readonly state = stateOf({ floats: FLOATS, optimizer: ADAM });
  #step = 0;

  train({ members = FOUR, steps = 1 }: { members?: readonly number[]; steps?: number } = {}): this {
    for (let i = 0; i < steps; i++) {
      const step = ++this.#step;
      const brought = members.map((id) => gradientsOf(id, { floats: FLOATS, step }));
      const size = members.length;
      const sums = brought[0]!.slice();
      for (let rank = 0; rank < size; rank++) {
        const { from, to } = sumsOf(FLOATS)({ rank, size });
        for (let at = from; at < to; at++) {
          sums[at] = brought[(rank + 1) % size]![at]!;
          for (let k = 2; k <= size; k++) sums[at] = sums[at]! + brought[(rank + k) % size]![at]!;
        }
      }
      if (this.state instanceof DenseState) this.state.update({ grads: sums, step });
    }
    return this;
  }

  get weights(): Float32Array {
    return this.state.weights;
  }
}

const SHARDED = { dense: "sharded" } as const;

describe("sharded", () => {
  test("gives the weights of one worker with all of the state, bit for bit, in whatever order frames come", () => {
    const expected = new Serial().train({ steps: 3 }).weights;
    for (let seed = 1; seed <= 10; seed++) {
      const group = new Group({ ...SHARDED, seed }).join(...FOUR).train({ steps: 3 });
      expect(same(group.weights, expected)).toBe(true);
    }
  });

  test("gives those of a cluster that has all of the state everywhere to 1e-6", () => {
    const [all, sharded] = [{}, SHARDED].map((o) => new Group(o).join(...FOUR).train({ steps: 5 }));
    expect(difference(sharded!.weights, all!.weights)).toBeLessThan(1e-6);
  });

  test("needs less than 0.3 of the memory for the optimizer's state", () => {
    const [all, sharded] = [{}, SHARDED].map((o) => new Group({ ...o, floats: 10_000 }).join(...FOUR).train());
    const most = (group: Group) => Math.max(...[...group.workers.values()].map(({ state }) => state.stateBytes));
    expect(most(sharded!) / most(all!)).toBeLessThan(0.3);
  });

  test("is all of it on a worker that is alone", () => {
    const group = new Group(SHARDED).join(1).train({ members: [1], steps: 2 });
    expect(same(group.weights, new Serial().train({ members: [1], steps: 2 }).weights)).toBe(true);
  });

  test("trains all the same where there are more workers than weights", () => {
    const [all, sharded] = [{}, SHARDED].map((o) => new Group({ ...o, floats: 3 }).join(...FOUR).train({ steps: 2 }));
    expect(difference(sharded!.weights, all!.weights)).toBeLessThan(1e-6);
  });

  test("hands state over when a member joins, and gives the same weights", () => {
    const group = new Group(SHARDED).join(1, 2, 3).train({ members: [1, 2, 3] });
    group.attempt++;
    group.join(4);
    expect(group.sent).not.toContain("stateShare");
    group.train({ steps: 2 });
    expect(group.sent).toContain("stateShare");
    const expected = new Serial().train({ members: [1, 2, 3] }).train({ steps: 2 });
    expect(same(group.weights, expected.weights)).toBe(true);
    expect(group.log).toEqual([]);
  });

  test("hands nothing over while the members are the same", () => {
    const group = new Group(SHARDED).join(...FOUR).train({ steps: 2 });
    group.abandon();
    group.train();
    expect(group.sent).not.toContain("stateShare");
  });

  test("repeats a step with those that are left, whenever a member is lost, and says what is lost with it", () => {
    for (const frames of [0, 1, 2, 5, 9, 14, 20, Infinity]) {
      const group = new Group(SHARDED).join(...FOUR).train({ steps: 2 });
      const before = group.weights.slice();
      group.begin(FOUR, frames);
      group.lose(3);
      group.abandon();
      expect(same(group.weights, before)).toBe(true);
      const members = [1, 2, 4];
      group.train({ members });
      const all = new Serial().train({ steps: 2 }).train({ members });
      const { from, to } = sumsOf(FLOATS)({ rank: 2, size: 4 });
      const differs = group.weights.map((w, i) => Number(!Object.is(w, all.weights[i])));
      expect(differs.subarray(0, from).includes(1) || differs.subarray(to).includes(1)).toBe(false);
      expect(differs.subarray(from, to).includes(0)).toBe(false);
      expect(group.log.toSorted()).toEqual([
        expect.stringContaining(`weights ${from} … `),
        expect.stringMatching(new RegExp(`… ${to - 1} is lost .* begins anew at step 3$`)),
      ]);
    }
  });

  test("starts from what the last committed step left, however often the members change before the next", () => {
    for (const frames of [0, 2, 9, 30]) {
      const group = new Group({ ...SHARDED, seed: frames + 1 }).join(1, 2).train({ members: [1, 2] });
      group.join(3, 4).begin(FOUR, frames);
      group.abandon();
      group.begin([1, 2, 4], frames);
      group.abandon();
      group.train({ members: [1, 2] });
      group.abandon();
      group.train({ members: [2, 1] });
      expect(same(group.weights, new Serial().train({ members: [1, 2], steps: 3 }).weights)).toBe(true);
    }
  });

  test("sums compressed gradients, and gathers weights as they are", () => {
    for (const dense of ["bfloat16", "int8"] as const) {
      const wire = { dense, errorFeedback: true };
      const group = new Group({ ...SHARDED, wire, optimizer: SGD }).join(...FOUR).train({ steps: 3 });
      const { values } = group.workers.get(1)!.results[2]!;
      expect(same(values.subarray(0, FLOATS), group.weights)).toBe(true);
      const off = difference(group.weights, new Group({ optimizer: SGD }).join(...FOUR).train({ steps: 3 }).weights);
      expect(off).toBeGreaterThan(1e-6);
      expect(off).toBeLessThan(0.02);
    }
  });
});

test("state that comes to a worker whose job does not shard it, or more than may wait, is refused", () => {
  const [plain, sharded] = [{}, SHARDED].map((o) => new Group({ ...o, floats: 3 }).join(1, 2));
  const at = { step: 1, attempt: 1, values: new Float32Array(2) };
  plain!.begin([1, 2], 0);
  expect(() => plain!.workers.get(1)!.exchange.take(frame({ opcode: "stateShare", ...at }))).toThrow(ProtocolError);
  const { exchange } = sharded!.workers.get(1)!;
  for (let i = 0; i < LIMITS.earlyFramesMax; i++) exchange.take(frame({ opcode: "stateShare", ...at }));
  expect(() => exchange.take(frame({ opcode: "stateShare", ...at }))).toThrow(`over ${LIMITS.earlyFramesMax} frames`);
  for (let i = 0; i < 2; i++) exchange.take(frame({ opcode: "stateShare", ...at, attempt: 0 }));
});

/**
 * How far the weights may be off after 8 steps, at a rate of 0.1 and summed gradients of up to 4: where what is lost is
 * kept, by less than is lost without that.
 */
const FORMS: readonly { wire: WireSpec; bound: number }[] = [
  { wire: { dense: "bfloat16" }, bound: 0.01 },
  { wire: { dense: "bfloat16", errorFeedback: true }, bound: 0.0035 },
  { wire: { dense: "int8" }, bound: 0.03 },
  { wire: { dense: "int8", errorFeedback: true }, bound: 0.006 },
  { wire: { dense: { topK: 0.1 } }, bound: 1 },
];
const exact = new Group({ optimizer: SGD, floats: MANY_FLOATS }).join(...FOUR).train({ steps: 8 });

describe.each(FORMS)("gradients as $wire", ({ wire, bound }) => {
  test("come to near the sum, with the same bits on all workers, and lose nothing of the loss", () => {
    const group = new Group({ wire, optimizer: SGD, floats: MANY_FLOATS }).join(...FOUR).train({ steps: 8 });
    const off = difference(group.weights, exact.weights);
    expect(off).toBeGreaterThan(0);
    expect(off).toBeLessThan(bound);
    expect(group.losses).toEqual(group.losses.map((_, i) => sumOfLosses(i + 1)));
  });

  test("change by a step that is given up as if it had never been", () => {
    const undisturbed = new Group({ wire, optimizer: SGD, floats: MANY_FLOATS }).join(...FOUR).train({ steps: 3 });
    for (const frames of [0, 7, 1000]) {
      const group = new Group({ wire, optimizer: SGD, floats: MANY_FLOATS, seed: frames + 1 }).join(...FOUR).train();
      for (const step of [2, 3]) {
        group.begin(FOUR, frames + step);
        group.abandon();
        group.train();
      }
      expect(same(group.weights, undisturbed.weights)).toBe(true);
    }
  });
});
