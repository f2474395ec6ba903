import { beforeEach, describe, expect, test, vi } from "vitest";
import { RingAllReduce, stateHash, type OwnDone, type ReduceForm } from "../../collective/index.ts";
import { exactSum, gaussians, relativeError, ringSum } from "../../collective/test-ranks.ts";
import { ProtocolError } from "../../errors.ts";
import { seededRandom, type SeededRandom } from "../../testing/index.ts";
import { decodeFrame, encodeFrame, frame, type Frame } from "../../wire/index.ts";
import { DenseRounds } from "./dense-round.ts";

/** Short pieces, so that few floats are many; and `latencyBytes` chooses between rings and exchanges of all values. */
const limits = vi.hoisted(() => ({ latencyBytes: 0 }));
vi.mock("../../limits.ts", async (original) => {
  const { LIMITS } = await original<typeof import("../../limits.ts")>();
  return {
    LIMITS: {
      ...LIMITS,
      reducePartFloatsMin: 128,
      reducePartFloatsMax: 128,
      earlyFramesMax: 64,
      earlyReduceBytesMax: 40_000,
      get reduceLatencyBytes() {
        return limits.latencyBytes;
      },
    },
  };
});

const STEP = 7;
const FLOATS = 1201;

/** How a round is run, and how far its sum may be from the exact one. */
interface Kind {
  name: string;
  form?: ReduceForm;
  exact?: number;
  feedsBack?: boolean;
  ownDone?: OwnDone;
  latencyBytes?: number;
  errorMax: number;
}

const KINDS: readonly Kind[] = [
  { name: "float32 by a ring", errorMax: 1e-6 },
  { name: "float32 by doubling", latencyBytes: 2 ** 30, errorMax: 1e-6 },
  { name: "bfloat16", form: "bfloat16", feedsBack: true, errorMax: 0.006 },
  { name: "int8", form: "int8", feedsBack: true, errorMax: 0.02 },
  { name: "int8 without feedback, the last floats exact", form: "int8", exact: 3, errorMax: 0.02 },
  { name: "int8 by doubling", form: "int8", feedsBack: true, latencyBytes: 2 ** 30, errorMax: 1e-6 },
  { name: "a tenth of the values", form: { topK: 0.1 }, feedsBack: true, errorMax: 0.9 },
  { name: "doubled by who sums them", ownDone: doubled, exact: 1, errorMax: 1e-6 },
];

function doubled(data: Float32Array, from: number, to: number): void {
  for (let i = from; i < to; i++) data[i]! *= 2;
}

interface Result {
  sum: Float32Array;
  residual: Float32Array | undefined;
}

/** What goes wrong in the first attempt, to the worker of this rank. */
type Fault =
  | { point: "before sending" }
  | { point: "while sending"; frames: number }
  | { point: "while reducing"; frames: number }
  /** To nobody: all leave the round after so many frames. */
  | { point: "cancelled"; frames: number };

/** Workers of one job, each with what it brings, joined by links that deliver in their order, any link first. */
class Workers {
  readonly #kind: Kind;
  readonly #random: SeededRandom;
  readonly #workers: readonly { id: number; input: Float32Array; residual: Float32Array | undefined }[];
  readonly #rounds = new Map<number, DenseRounds>();
  readonly #terms = new Map<number, number>();
  readonly #links = new Map<string, { from: number; to: number; queue: Frame[] }>();
  readonly #dead = new Set<number>();
  /** Of the newest attempt. */
  readonly results = new Map<number, Result>();
  /** Calls `watch` before each frame that is sent or taken. */
  watch: (worker: number, what: "sends" | "takes") => void = () => {};

  constructor(kind: Kind, ids: readonly number[], seed: number) {
    this.#kind = kind;
    this.#random = seededRandom(seed);
    this.#workers = ids.map((id) => ({ id, ...broughtBy(id, kind) }));
    for (const { id } of this.#workers) {
      this.#terms.set(id, 1);
      const rounds = new DenseRounds({
        job: 1,
        send: (to, f, onSent) => {
          this.#send(id, to, f);
          onSent?.();
        },
        awaits: ({ step, attempt }) => step === STEP && attempt >= this.#terms.get(id)!,
        reduced: ({ step, attempt }, sum, residual) => {
          expect({ step, attempt }).toEqual({ step: STEP, attempt: this.#terms.get(id) });
          this.results.set(id, { sum, residual });
        },
      });
      this.#rounds.set(id, rounds);
    }
  }

  /** One worker hears of a new term. */
  leave(id: number, term: number): void {
    this.#terms.set(id, term);
    this.#rounds.get(id)!.abandon();
    this.results.delete(id);
  }

  begin(id: number, attempt: number, members: readonly number[]): void {
    const { form, exact, ownDone } = this.#kind;
    const { input, residual } = this.#workers.find((worker) => worker.id === id)!;
    const data = input.slice();
    const rank = members.indexOf(id);
    this.#rounds.get(id)!.begin({ step: STEP, attempt, rank, members, data, form, exact, residual, ownDone });
  }

  kill(id: number): void {
    this.#dead.add(id);
  }

  /** Delivers one frame; false if there is none. */
  deliver(): boolean {
    const busy = [...this.#links.values()].filter(({ queue }) => queue.length > 0);
    if (busy.length === 0) return false;
    const { to, queue } = busy[this.#random.below(busy.length)]!;
    const f = queue.shift()!;
    if (this.#dead.has(to)) return true;
    this.watch(to, "takes");
    this.#rounds.get(to)!.take(f);
    f.values.fill(Number.NaN); // its memory is used again
    f.coded.fill(0xff);
    return true;
  }

  /** One after another they leave what is under way and begin anew, while frames arrive. */
  beginAnew(attempt: number, members: readonly number[]): void {
    let gone = 0;
    let begun = 0;
    while (begun < members.length) {
      if (gone < members.length && (gone === begun || this.#random.below(2) === 0))
        this.leave(members[gone++]!, attempt);
      else this.begin(members[begun++]!, attempt, members);
      for (let n = this.#random.below(6); n > 0; n--) this.deliver();
    }
  }

  finish(): void {
    while (this.deliver()) {}
  }

  #send(from: number, to: number, f: Frame): void {
    this.watch(from, "sends");
    if (this.#dead.has(from)) return;
    const name = `${from} ${to}`;
    if (!this.#links.has(name)) this.#links.set(name, { from, to, queue: [] });
    this.#links.get(name)!.queue.push(decodeFrame(encodeFrame(f)));
  }
}

function broughtBy(
  id: number,
  { feedsBack, exact = 0 }: Kind,
): { input: Float32Array; residual: Float32Array | undefined } {
  const residual = feedsBack ? gaussians(FLOATS - exact, 1000 + id).map((x) => x / 10) : undefined;
  return { input: gaussians(FLOATS, id), residual };
}

/** The first attempt with a fault, then another one over the survivors. */
function runFaulty(kind: Kind, members: readonly number[], at: { rank: number; fault: Fault; seed: number }): Workers {
  const { rank, fault, seed } = at;
  const workers = new Workers(kind, members, seed);
  const victim = members[rank]!;
  let frames = 0;
  let isCancelled = false;
  workers.watch = (worker, what) => {
    if (fault.point === "cancelled") isCancelled ||= what === "takes" && ++frames > fault.frames;
    else if (worker !== victim) return;
    else if (fault.point === "while sending" && what === "sends" && ++frames > fault.frames) workers.kill(victim);
    else if (fault.point === "while reducing" && what === "takes" && ++frames > fault.frames) workers.kill(victim);
  };
  if (fault.point === "before sending") workers.kill(victim);
  for (const id of members) if (id !== victim || fault.point !== "before sending") workers.begin(id, 1, members);
  while (!isCancelled && workers.deliver()) {}
  workers.watch = () => {};
  if (fault.point !== "cancelled") workers.kill(victim);
  const survivors = fault.point === "cancelled" ? members : members.filter((id) => id !== victim);
  workers.beginAnew(2, survivors);
  workers.finish();
  return workers;
}

function runClean(kind: Kind, members: readonly number[]): Map<number, Result> {
  const workers = new Workers(kind, members, 1);
  for (const id of members) workers.begin(id, 1, members);
  workers.finish();
  return workers.results;
}

/** Of each member's sum and residual. */
function hashesOf(results: Map<number, Result>, members: readonly number[]): (string | undefined)[][] {
  return members.map((id) => {
    const { sum, residual } = results.get(id)!;
    return [stateHash(sum), residual && stateHash(residual)];
  });
}

/** What the members' sum must be, exactly; for values that travel in fewer bytes with the residuals before and after. */
function expectSum(kind: Kind, members: readonly number[], results: Map<number, Result>): void {
  const { exact = 0, ownDone, form } = kind;
  const brought = members.map((id) => broughtBy(id, kind));
  const n = FLOATS - exact;
  const given = exactSum(brought.map(({ input, residual }) => input.map((x, i) => x + (residual?.[i] ?? 0)))).map(
    (x, i) => (ownDone && i < n ? 2 * x : x),
  );
  const { sum } = results.get(members[0]!)!;
  for (const id of members) expect(stateHash(results.get(id)!.sum)).toBe(stateHash(sum));
  expect(relativeError(sum, given)).toBeLessThan(kind.errorMax);
  expect(relativeError(sum.subarray(n), given.subarray(n))).toBeLessThan(exact > 0 ? 1e-6 : Infinity);
  if (form === undefined && kind.latencyBytes === undefined && exact === 0) {
    expect(sum).toEqual(members.length === 1 ? brought[0]!.input : ringSum(brought.map(({ input }) => input)));
  }
  if (kind.feedsBack) {
    const kept = exactSum([sum, ...members.map((id) => results.get(id)!.residual!)]);
    expect(relativeError(kept, given)).toBeLessThan(1e-6);
  } else for (const id of members) expect(results.get(id)!.residual).toBeUndefined();
}

const MEMBERS: readonly (readonly number[])[] = [
  [11, 12],
  [11, 12, 13],
  [11, 12, 13, 14],
  [11, 12, 13, 14, 15],
];
const FRAMES = [0, 1, 3, 8];

function faults(): Fault[] {
  const points = ["while sending", "while reducing", "cancelled"] as const;
  return [{ point: "before sending" }, ...points.flatMap((point) => FRAMES.map((frames) => ({ point, frames })))];
}

describe.each(KINDS)("DenseRounds, $name", (kind) => {
  beforeEach(() => {
    limits.latencyBytes = kind.latencyBytes ?? 0;
  });

  test.each([[11], ...MEMBERS].map((members) => ({ members })))("sums over $members", ({ members }) => {
    expectSum(kind, members, runClean(kind, members));
  });

  test.each(MEMBERS.map((members) => ({ members })))(
    "a fault of any of $members, at any point, leaves no trace in the attempt after it",
    ({ members }) => {
      let seed = 0;
      for (const rank of members.keys()) {
        const survivors = members.filter((_, i) => i !== rank);
        const clean = { lost: runClean(kind, survivors), cancelled: runClean(kind, members) };
        for (const fault of faults()) {
          const { results } = runFaulty(kind, members, { rank, fault, seed: seed++ });
          const [after, expected] =
            fault.point === "cancelled" ? [members, clean.cancelled] : ([survivors, clean.lost] as const);
          expect(hashesOf(results, after), `${fault.point} of rank ${rank}`).toEqual(hashesOf(expected, after));
        }
        expectSum(kind, survivors, clean.lost);
      }
    },
  );
});

describe("DenseRounds", () => {
  const at = { step: STEP, attempt: 3 };
  const reduce = (fields: Partial<Frame>) =>
    frame({ opcode: "reduce", ...at, term: 3, slot: 1, values: Float32Array.of(1, 2), ...fields });
  const roundsOf = (awaits = true) => {
    const reduced = vi.fn<(at: unknown, sum: Float32Array) => void>();
    return { rounds: new DenseRounds({ job: 1, send: () => {}, reduced, awaits: () => awaits }), reduced };
  };

  beforeEach(() => {
    limits.latencyBytes = 0;
  });

  test("frames that come early are bounded in number and in bytes", () => {
    const many = roundsOf().rounds;
    for (let i = 0; i < 64; i++) many.take(reduce({}));
    expect(() => many.take(reduce({}))).toThrow(ProtocolError);
    const large = roundsOf().rounds;
    large.take(reduce({ values: new Float32Array(5000) }));
    expect(() => large.take(reduce({ values: new Float32Array(5000) }))).toThrow(ProtocolError);
  });

  test("frames that nobody awaits take no room", () => {
    const { rounds } = roundsOf(false);
    for (let i = 0; i < 1000; i++) rounds.take(reduce({}));
    rounds.take(reduce({ values: new Float32Array(50_000) }));
  });

  test("a frame that does not fit the round is refused", () => {
    const { rounds, reduced } = roundsOf();
    rounds.begin({ ...at, rank: 0, members: [5, 6], data: new Float32Array(4), exact: 0 });
    expect(() => rounds.take(reduce({ slots: 1 }))).toThrow(ProtocolError);
    expect(() => rounds.take(reduce({ slots: 0, cursor: 9 }))).toThrow(ProtocolError);
    expect(reduced).not.toHaveBeenCalled();
  });

  test("the sum is handed over when what was lent has been sent, unless the round is left before", () => {
    const sent: (() => void)[] = [];
    const reduced = vi.fn<(at: unknown, sum: Float32Array) => void>();
    const send = (_: number, f: Frame, onSent?: () => void) => {
      expect([f.lent, onSent]).toEqual([true, expect.any(Function)]);
      sent.push(onSent!);
    };
    const rounds = new DenseRounds({ job: 1, send, reduced, awaits: () => true });
    const all = () => {
      rounds.begin({ ...at, rank: 0, members: [5, 6], data: Float32Array.of(1, 2, 3, 4) });
      rounds.take(reduce({ cursor: 0, table: 0, values: Float32Array.of(10, 20) }));
      rounds.take(reduce({ cursor: 1, table: 1, values: Float32Array.of(30, 40) }));
      expect([sent.length, reduced.mock.calls.length]).toEqual([2, 0]);
      return sent.splice(0);
    };
    const left = all();
    rounds.abandon();
    for (const onSent of left) onSent();
    expect(reduced).not.toHaveBeenCalled();
    const [first, last] = all() as [() => void, () => void];
    first();
    expect(reduced).not.toHaveBeenCalled();
    last();
    expect(reduced).toHaveBeenCalledExactlyOnceWith(at, Float32Array.of(11, 22, 30, 40), undefined);
  });

  test("ownDone() has the range of its rank", () => {
    const ranges: unknown[] = [];
    const { rounds } = roundsOf();
    const ownDone = (data: Float32Array, from: number, to: number) => ranges.push({ from, to, n: data.length });
    rounds.begin({ ...at, rank: 1, members: [5, 6], data: new Float32Array(10), exact: 1, ownDone });
    rounds.take(reduce({ slot: 0, cursor: 0, table: 1, values: Float32Array.of(1, 1, 1, 1, 1) }));
    expect(ranges).toEqual([{ ...RingAllReduce.ownRange({ rank: 1, size: 2, length: 9 }), n: 9 }]);
  });
});
