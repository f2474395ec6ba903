/**
 * The leader of steps that close by its word (ARCHITECTURE.md, "A step is a transaction"): it names the slots that count,
 * commits their sum, and gives the others back. A slot has arrived when all PS nodes have it and its worker says that it
 * is done. In a new term it fences and recovers as a leading worker does; since it led all steps before, it knows which
 * batches a step that turns out to be committed is the sum of.
 *
 * What happens when a peer dies here: nothing, until a new term begins. Every message is idempotent, so `resend` may
 * repeat whatever is unanswered.
 */
import type { Consistency } from "@volary/core/consistency";
import { assert, ClusterError } from "@volary/core/errors";
import { controlOf, Recovery, type Attempt } from "@volary/core/training";
import type { Control, ControlOf } from "@volary/core/wire";

export interface StepLeaderOptions {
  job: number;
  /** Slots of a step. */
  slots: number;
  /** What gradients are means over: `fit.batchSize`. */
  batchSize: number;
  mode: Pick<Consistency, "mayClose">;
  toNode: (node: number, control: Control) => void;
  /** All partitions have committed the sum of these batches. */
  onCommitted: (batches: readonly number[]) => void;
  /** A step is closed without these batches. */
  onDropped: (batches: readonly number[]) => void;
  /** The step of these batches has begun anew. */
  onReturned: (batches: readonly number[]) => void;
}

/** A message of a PS node to the leader of a step. */
export type NodeAnswer = ControlOf<"promise" | "slot-in" | "staged" | "committed">;

interface Slot {
  readonly worker: number;
  readonly batch: number;
  readonly samples: number;
  isDone: boolean;
  /** Nodes that have it. */
  readonly nodes: Set<number>;
}

interface OpenStep extends Attempt {
  readonly slots: Slot[];
  /** What it is the sum of, once it is closed. */
  accepted: number[] | undefined;
  scale: number;
  readonly staged: Set<number>;
  isCommitSent: boolean;
  readonly committed: Set<number>;
}

export class StepLeader {
  readonly #o: StepLeaderOptions;
  #term = 0;
  #heads = 0;
  #nodes: readonly number[] = [];
  #members: readonly number[] = [];
  /** Until it is known what is committed. */
  #recovery: Recovery | undefined;
  #open: OpenStep | undefined;
  /** Of an earlier term, whose commit was sent: committed or not, which the recovery says. */
  #inDoubt: OpenStep | undefined;
  #committed = 0;
  /** The newest term in which a step was started. */
  #startedIn = 0;

  constructor(o: StepLeaderOptions) {
    this.#o = o;
  }

  /** Is there a slot to be given? */
  get hasRoom(): boolean {
    return this.#open !== undefined && !this.#open.accepted && this.#open.slots.length < this.#o.slots;
  }

  /** Is a step open that has no slots, so that nothing is under way? */
  get isIdle(): boolean {
    return this.#open?.slots.length === 0;
  }

  // -- terms -------------------------------------------------------------------------------------------------

  /** What was not committed is returned, now or when it is known that it was not. */
  beginTerm(o: { term: number; heads: number; nodes: readonly number[]; members: readonly number[] }): void {
    this.#term = o.term;
    this.#heads = o.heads;
    this.#nodes = o.nodes;
    this.#members = o.members;
    const open = this.#open;
    this.#open = undefined;
    if (open?.isCommitSent) this.#inDoubt = open;
    this.#recovery = new Recovery({ term: o.term, nodes: o.nodes });
    for (const node of o.nodes) this.resend(node);
    if (open && !open.isCommitSent) this.#o.onReturned(batchesOf(open));
  }

  #onRecovered({ step, attempt }: Attempt): void {
    this.#recovery = undefined;
    const inDoubt = this.#inDoubt;
    this.#inDoubt = undefined;
    const isCommitted = inDoubt !== undefined && step === inDoubt.step;
    assert(
      step === this.#committed || (isCommitted && attempt === inDoubt.attempt),
      `step ${step} was committed as attempt ${attempt}; the newest this leader knows of is ${this.#committed}`,
    );
    this.#committed = step;
    this.#openNext();
    if (!inDoubt) return;
    if (isCommitted) this.#o.onCommitted(batchesOf(inDoubt));
    else this.#o.onReturned(batchesOf(inDoubt));
  }

  #openNext(): void {
    this.#open = {
      step: this.#committed + 1,
      attempt: this.#term,
      slots: [],
      accepted: undefined,
      scale: 1,
      staged: new Set(),
      isCommitSent: false,
      committed: new Set(),
    };
    // Steps of one attempt follow each other at the PS: only the first is started.
    if (this.#startedIn === this.#term) return;
    this.#startedIn = this.#term;
    for (const node of this.#nodes) this.#o.toNode(node, this.#start(this.#open));
  }

  // -- one step ----------------------------------------------------------------------------------------------

  /** Has the open step a slot of this worker? A second one would keep it from the next step, and be dropped. */
  isIn(worker: number): boolean {
    return this.#open?.slots.some((slot) => slot.worker === worker) ?? false;
  }

  /** Makes a batch of a worker the next slot of the open step. */
  add({ worker, batch, samples }: Pick<Slot, "worker" | "batch" | "samples">): Attempt & { slot: number } {
    assert(this.hasRoom, `batch ${batch} is given for a step that has no room`);
    const { step, attempt, slots } = this.#open!;
    slots.push({ worker, batch, samples, isDone: false, nodes: new Set() });
    return { step, attempt, slot: slots.length - 1 };
  }

  /** The batch's worker has pushed it. */
  onDone(batch: number): void {
    const slot = this.#open?.slots.find((each) => each.batch === batch);
    if (slot) slot.isDone = true;
    this.#closeIfMay();
  }

  onAnswer(node: number, answer: NodeAnswer): void {
    if (answer.heads !== this.#heads) return;
    if (answer.type === "promise") this.#onPromise(node, answer);
    else if (answer.type === "committed") this.#onCommitted(node, answer);
    else if (this.#open?.step === answer.step && this.#open.attempt === answer.attempt) {
      if (answer.type === "slot-in") this.#onSlotIn(node, answer);
      else this.#onStaged(node);
    }
  }

  /** The step is late: closes it with what has arrived, if anything has. */
  closeLate(): void {
    const open = this.#open;
    if (open && !open.accepted && open.slots.some((slot) => this.#hasArrived(slot))) this.#close(open);
  }

  #onPromise(node: number, { term, committed, whole }: ControlOf<"promise">): void {
    if (term !== this.#term) return;
    this.#checkCommitted(node, committed, whole);
    const { send = [], recovered } = this.#recovery?.promised({ kind: "promise", node, term, committed, whole }) ?? {};
    for (const message of send) this.#o.toNode(message.node, controlOf(message, this.#names));
    if (recovered) this.#onRecovered(recovered);
  }

  /** This leader closed all steps itself, so it knows which may be committed, and which are everywhere. */
  #checkCommitted(node: number, { step, attempt }: Attempt, whole: boolean): void {
    const isNewest = step === this.#committed && whole;
    const isInDoubt = step === this.#inDoubt?.step && attempt === this.#inDoubt.attempt;
    if (isNewest || isInDoubt || !this.#recovery) return;
    const part = whole ? "" : " in a part of its partitions";
    throw new ClusterError(
      "PROTOCOL_VIOLATION",
      `PS node ${node} has committed step ${step}${part}, but the newest is ${this.#committed}; run the same release everywhere`,
    );
  }

  #onSlotIn(node: number, { slot }: ControlOf<"slot-in">): void {
    this.#open!.slots[slot]?.nodes.add(node);
    this.#closeIfMay();
  }

  #closeIfMay(): void {
    const open = this.#open;
    if (!open || open.accepted || open.slots.length === 0) return;
    const arrived = open.slots.filter((slot) => this.#hasArrived(slot)).length;
    const members = Math.min(this.#members.length, this.#o.slots); // others have no slot
    const waited = { arrived, expected: open.slots.length, members };
    if (arrived > 0 && this.#o.mode.mayClose(waited)) this.#close(open);
  }

  #close(open: OpenStep): void {
    const numbers = [...open.slots.keys()];
    open.accepted = numbers.filter((slot) => this.#hasArrived(open.slots[slot]!));
    const samples = open.accepted.reduce((sum, slot) => sum + open.slots[slot]!.samples, 0);
    open.scale = this.#o.batchSize / samples;
    for (const node of this.#nodes) this.#o.toNode(node, this.#closing(open));
    const dropped = open.slots.filter((_, slot) => !open.accepted!.includes(slot));
    if (dropped.length > 0) this.#o.onDropped(dropped.map(({ batch }) => batch));
  }

  #onStaged(node: number): void {
    const open = this.#open!;
    open.staged.add(node);
    if (!open.accepted || open.isCommitSent || open.staged.size < this.#nodes.length) return;
    open.isCommitSent = true;
    for (const each of this.#nodes) this.#o.toNode(each, this.#commit(open));
  }

  #onCommitted(node: number, { step, attempt }: ControlOf<"committed">): void {
    const recovered = this.#recovery?.committed({ node, step, attempt });
    if (recovered) this.#onRecovered(recovered);
    const open = this.#open;
    if (!open?.isCommitSent || open.step !== step || open.attempt !== attempt) return;
    open.committed.add(node);
    if (open.committed.size < this.#nodes.length) return;
    this.#committed = step;
    this.#openNext();
    this.#o.onCommitted(batchesOf(open));
  }

  #hasArrived({ isDone, nodes }: Slot): boolean {
    return isDone && nodes.size === this.#nodes.length;
  }

  // -- messages ----------------------------------------------------------------------------------------------

  /** Repeats what a node, or any, has not answered. */
  resend(node?: number): void {
    if (node === undefined) for (const each of this.#nodes) this.resend(each);
    else if (this.#nodes.includes(node)) for (const control of this.#unanswered(node)) this.#o.toNode(node, control);
  }

  #unanswered(node: number): Control[] {
    if (this.#recovery) {
      const message = this.#recovery.unanswered(node);
      return message ? [controlOf(message, this.#names)] : [];
    }
    const open = this.#open;
    if (!open) return [];
    const fence: Control = { type: "fence", ...this.#names, term: this.#term }; // who it is to answer, where its link is new
    if (open.isCommitSent) return open.committed.has(node) ? [] : [fence, this.#commit(open)];
    if (open.accepted && !open.staged.has(node)) return [fence, this.#start(open), this.#closing(open)];
    return [fence, this.#start(open)];
  }

  get #names(): { job: number; heads: number } {
    return { job: this.#o.job, heads: this.#heads };
  }

  #start({ step, attempt }: Attempt): Control {
    const term = { term: this.#term, slots: this.#o.slots, members: [...this.#members] };
    return { type: "start", ...this.#names, step, attempt, ...term };
  }

  #closing({ step, attempt, accepted, scale }: OpenStep): Control {
    return { type: "close", ...this.#names, step, attempt, term: this.#term, slots: accepted!, scale };
  }

  #commit({ step, attempt }: Attempt): Control {
    return { type: "commit", ...this.#names, step, attempt, term: this.#term };
  }
}

/** Those that a step is the sum of, or all where it is not closed. */
function batchesOf({ slots, accepted }: OpenStep): number[] {
  return accepted ? accepted.map((slot) => slots[slot]!.batch) : slots.map(({ batch }) => batch);
}
