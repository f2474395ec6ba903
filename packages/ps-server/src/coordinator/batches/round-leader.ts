/**
 * Rounds of dense weights that workers train for themselves: calls a round once its batches are done, and commits it when
 * all members hold its mean. Until then it can be called again in another term, over those that are left; batches count
 * from the commit on, since a lost worker takes what it learned with it.
 *
 * A member is *current* if it has the dense weights of the newest round. One that joins later has those that the job began
 * with; it takes part in rounds with nothing, and is given no batch, until rank 0 has sent it the weights of a round.
 */
import type { DenseRoundsSpec } from "@volary/core/consistency";
import type { Sabotages } from "@volary/core/sabotage";
import type { Control, ControlOf } from "@volary/core/wire";
import { Lateness } from "./lateness.ts";

export interface RoundLeaderOptions {
  job: number;
  spec: DenseRoundsSpec;
  toWorker: (worker: number, control: Control) => void;
  /** All members have the mean of a round, which these batches went into. */
  onCommitted: (batches: readonly number[]) => void;
  sabotages?: Sabotages;
}

/** What a member has done since the newest round. */
interface Work {
  readonly batches: number[];
  samples: number;
}

export class RoundLeader {
  readonly #o: RoundLeaderOptions;
  #term = 0;
  /** By rank. */
  #members: readonly number[] = [];
  readonly #current = new Set<number>();
  /** Rounds that are committed. */
  #rounds = 0;
  readonly #work = new Map<number, Work>();
  #done = 0;
  /** Who has the mean of the round that is called, if one is. */
  #held: Set<number> | undefined;
  #calledMs = 0;
  /** Of the newest rounds. */
  readonly #lateness = new Lateness();
  /** When the first batch since the newest round was given. */
  #beganMs: number | undefined;

  constructor(o: RoundLeaderOptions) {
    this.#o = o;
  }

  /** Rounds that are committed. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Has any member the newest dense weights? The job cannot go on otherwise. */
  get hasWeights(): boolean {
    return this.#current.size > 0;
  }

  get isCalled(): boolean {
    return this.#held !== undefined;
  }

  /** Has anything been trained since the newest round? */
  get hasWork(): boolean {
    return this.#done > 0;
  }

  isCurrent(worker: number): boolean {
    return this.#current.has(worker);
  }

  /** A round that is called is called again, over the new members. */
  beginTerm({ term, members, now }: { term: number; members: readonly number[]; now: number }): void {
    this.#term = term;
    this.#members = members;
    if (this.#rounds === 0) for (const worker of members) this.#current.add(worker);
    if (this.#held) this.call(now);
  }

  /** The worker is lost. @returns the batches that are lost with it */
  lose(worker: number): readonly number[] {
    const batches = this.#work.get(worker)?.batches ?? [];
    this.#current.delete(worker);
    this.#lateness.forget(worker);
    this.#work.delete(worker);
    this.#done -= batches.length;
    return batches;
  }

  /** A batch is given to a member. */
  onGiven(now: number): void {
    this.#beganMs ??= now;
  }

  onDone({ worker, batch, samples }: { worker: number; batch: number; samples: number }): void {
    const work = this.#work.get(worker) ?? { batches: [], samples: 0 };
    work.batches.push(batch);
    work.samples += samples;
    this.#work.set(worker, work);
    this.#done++;
  }

  /** Is enough under way for this round? @param out batches that workers are busy with */
  isDue({ out, now }: { out: number; now: number }): boolean {
    const { every } = this.#o.spec;
    if (typeof every === "number") return this.#done + out >= every * this.#current.size;
    return this.#done + out > 0 && now - (this.#beganMs ?? now) >= every.seconds * 1000;
  }

  /** Has the members average what they have learned; no batch may be out. */
  call(now: number): void {
    this.#held = new Set();
    this.#calledMs = now;
    const of = (worker: number) => this.#work.get(worker)?.samples ?? 0;
    const all = this.#members.reduce((sum, worker) => sum + of(worker), 0);
    const shares = this.#members.map((worker) => (all === 0 ? 0 : of(worker) / all));
    const { job, toWorker } = this.#o;
    const call: Control = { type: "call-round", job, term: this.#term, round: this.#rounds + 1, shares };
    for (const worker of this.#members) toWorker(worker, call);
  }

  onHeld(worker: number, { term, round }: ControlOf<"round-held">, now: number): void {
    if (term !== this.#term || round !== this.#rounds + 1) return;
    if (!this.#held) return;
    this.#held.add(worker);
    this.#lateness.did(worker);
    const isEarly = this.#o.sabotages?.has("commit-round-before-all-hold") === true;
    if (!isEarly && !this.#members.every((each) => this.#held!.has(each))) return;
    this.#lateness.note(now - this.#calledMs);
    this.#commit();
  }

  /** Members that the round which is called waits for too long. */
  tooLate(now: number): number[] {
    const missing = this.#members.filter((each) => !this.#held!.has(each));
    const awaited = new Map(missing.map((each) => [each, this.#calledMs]));
    return this.#lateness.tooLate({ members: this.#members, awaited, now });
  }

  /** The worker has the weights of a round that rank 0 sent. */
  onDenseReady(worker: number, { round }: ControlOf<"dense-ready">): void {
    if (round === this.#rounds && this.#members.includes(worker)) this.#current.add(worker);
  }

  #commit(): void {
    const round = ++this.#rounds;
    const { job, toWorker, onCommitted } = this.#o;
    const newcomers = this.#members.filter((worker) => !this.#current.has(worker));
    const commit: Control = { type: "commit-round", job, term: this.#term, round, newcomers };
    for (const worker of this.#members) toWorker(worker, commit);
    const batches = Array.from(this.#work.values(), (work) => work.batches).flat();
    this.#held = undefined;
    this.#beganMs = undefined;
    this.#work.clear();
    this.#done = 0;
    onCommitted(batches);
  }
}
