/**
 * The workers' half of the step transaction: a pure state machine of control messages. Bulk data (batches, rows,
 * gradients) stays with the driver, `job-session.ts`, which carries out the effects and reports back as events.
 *
 * The wording of the rules is the model-checked one in ARCHITECTURE.md ("A step is a transaction"). In short: the
 * leader (rank 0) commits a step when every PS node has staged it and every rank holds its dense result; a new
 * leader first fences, then finishes the step if any node has committed it, else starts it anew under its term.
 *
 * What happens when a peer dies here: nothing, until the coordinator announces a new term. Every message is
 * idempotent, so `resend` may repeat whatever is unanswered.
 */
import { assert } from "../errors.ts";

export interface Attempt {
  step: number;
  attempt: number;
}

export type StepEvent =
  /** The coordinator named the members of a new term, in rank order. */
  | { kind: "term"; term: number; members: readonly number[] }
  | { kind: "promise"; node: number; term: number; committed: Attempt }
  /** From the leader: run `step` as `attempt` over `members`. */
  | { kind: "start"; step: number; attempt: number; members: readonly number[] }
  /** A node answered the pull for `step`, naming the step it last committed. */
  | { kind: "pulled"; node: number; step: number; committed: Attempt }
  | ({ kind: "computed" } & Attempt)
  | ({ kind: "reduced" } & Attempt)
  | ({ kind: "staged"; node: number } & Attempt)
  | ({ kind: "held"; rank: number } & Attempt)
  | ({ kind: "committed"; node: number } & Attempt)
  /** The coordinator leases all steps below `to` to this term. */
  | { kind: "lease"; term: number; to: number }
  /** The coordinator leases no more steps to this term: training ends after those that are pushed. */
  | { kind: "no-lease"; term: number }
  /** The dense state after `step` arrived from the leader. */
  | { kind: "dense-state"; step: number }
  /** Nothing was heard for a while, or the link to a node came back: repeat what it has not answered. */
  | { kind: "resend"; node?: number };

export type StepEffect =
  | { kind: "send-fence"; node: number; term: number }
  | {
      kind: "send-start-to-node";
      node: number;
      step: number;
      attempt: number;
      slots: number;
      members: readonly number[];
    }
  | { kind: "send-start-to-worker"; worker: number; step: number; attempt: number; members: readonly number[] }
  | { kind: "send-held"; worker: number; step: number; attempt: number; rank: number }
  | ({ kind: "send-commit"; node: number; term: number } & Attempt)
  /** Give `worker`, which has no dense state, the state after `step`. */
  | { kind: "send-dense-state"; worker: number; step: number }
  /** Load this slot's samples of `step` and send its pulls; the answers come as `pulled`. */
  | { kind: "prepare"; step: number; attempt: number; rank: number; slots: number }
  | ({ kind: "repeat-pull"; node: number } & Attempt)
  | ({ kind: "repeat-push"; node: number } & Attempt)
  | ({ kind: "compute" } & Attempt)
  /** Push the row gradients to every node. */
  | ({ kind: "push" } & Attempt)
  | { kind: "reduce"; step: number; attempt: number; rank: number; members: readonly number[] }
  /** Apply the dense result held for `step`: it is committed. */
  | ({ kind: "apply" } & Attempt)
  /** Forget gradients and dense result of an attempt that will never be committed. */
  | ({ kind: "drop" } & Attempt)
  /** Stop sending for the old attempt, but keep what is held. */
  | { kind: "suspend" }
  | { kind: "request-lease"; term: number }
  /** `step` is known committed; the leader tells the coordinator. */
  | ({ kind: "report-commit" } & Attempt)
  | { kind: "finished"; step: number }
  /** The job cannot go on: nobody left has the dense state. */
  | { kind: "fail"; message: string };

interface Run extends Attempt {
  members: readonly number[];
  pulled: Set<number>;
  computing: boolean;
  computed: boolean;
  pushed: boolean;
  staged: Set<number>;
  heldBy: Set<number>;
  commitSent: boolean;
}

interface Election {
  term: number;
  promises: Map<number, Attempt>;
  /** Set while a step that some nodes committed is being finished on the others. */
  finishing: Attempt | undefined;
  finishedBy: Set<number>;
}

export class StepTransaction {
  readonly #nodes: readonly number[];
  readonly #stepsMax: number;
  readonly #worker: number;
  #term = 0;
  #members: readonly number[] = [];
  /** Members that held the dense result of the newest committed step; who was only started may have missed it. */
  #synced: ReadonlySet<number> = new Set();
  #election: Election | undefined;
  #run: Run | undefined;
  #suspended = true;
  #held: Attempt | undefined;
  #applied: number;
  /** The start that waits until the dense state has arrived. */
  #waitingStart: { step: number; attempt: number; members: readonly number[] } | undefined;
  #leasedTo = 1;
  #leaseAsked = false;
  /** Does training end before the job's last step, after what is pushed? */
  #ending = false;
  /** The newest commit this leader sent, and who has answered. */
  #commit: (Attempt & { acks: Set<number> }) | undefined;
  #finished = false;

  /**
   * @param worker this worker's id
   * @param nodes the PS nodes of the job
   * @param stepsMax the job's last step; steps count from 1
   * @param applied the step whose dense state this worker has, -1 for none
   */
  constructor(o: { worker: number; nodes: readonly number[]; stepsMax: number; applied: number }) {
    this.#worker = o.worker;
    this.#nodes = o.nodes;
    this.#stepsMax = o.stepsMax;
    this.#applied = o.applied;
  }

  get term(): number {
    return this.#term;
  }

  get rank(): number {
    return this.#members.indexOf(this.#worker);
  }

  get isLeader(): boolean {
    return this.rank === 0;
  }

  /** The attempt that is under way, if it is not suspended. */
  get running(): Attempt | undefined {
    return this.#suspended ? undefined : this.#run;
  }

  /** The step whose dense state this worker has applied. */
  get applied(): number {
    return this.#applied;
  }

  handle(event: StepEvent): StepEffect[] {
    const out: StepEffect[] = [];
    switch (event.kind) {
      case "term":
        this.#onTerm(event, out);
        break;
      case "promise":
        this.#onPromise(event, out);
        break;
      case "start":
        if (event.attempt >= this.#term) this.#onStart(event, out);
        break;
      case "pulled":
        this.#onPulled(event, out);
        break;
      case "computed":
        if (this.#isCurrent(event) && !this.#run!.computed) {
          this.#run!.computed = true;
          this.#push(out);
        }
        break;
      case "reduced":
        this.#onReduced(event, out);
        break;
      case "staged":
        if (this.#isCurrent(event)) {
          this.#run!.staged.add(event.node);
          this.#commitWhenWhole(out);
        }
        break;
      case "held":
        if (this.#isCurrent(event)) {
          this.#run!.heldBy.add(event.rank);
          this.#commitWhenWhole(out);
        }
        break;
      case "committed":
        this.#onCommitted(event, out);
        break;
      case "lease":
        if (event.term === this.#term) {
          this.#leaseAsked = false;
          this.#leasedTo = Math.max(this.#leasedTo, event.to);
          if (this.running && this.#run!.computed) this.#push(out);
        }
        break;
      case "no-lease":
        if (event.term === this.#term && this.isLeader) this.#onNoLease(out);
        break;
      case "dense-state":
        this.#onDenseState(event.step, out);
        break;
      case "resend":
        for (const node of event.node === undefined ? this.#nodes : [event.node]) this.#resend(node, out);
        if (this.#held && this.#isCurrent(this.#held) && !this.isLeader) this.#sendHeld(this.#held, out);
        if (this.#leaseAsked) out.push({ kind: "request-lease", term: this.#term });
        break;
      default:
        event satisfies never;
    }
    return out;
  }

  #isCurrent({ step, attempt }: Attempt): boolean {
    return !this.#suspended && this.#run?.step === step && this.#run.attempt === attempt;
  }

  #onTerm(event: { term: number; members: readonly number[] }, out: StepEffect[]): void {
    if (event.term <= this.#term) return;
    this.#enterTerm(event, out);
    if (!this.isLeader) return;
    this.#election = { term: event.term, promises: new Map(), finishing: undefined, finishedBy: new Set() };
    for (const node of this.#nodes) out.push({ kind: "send-fence", node, term: event.term });
  }

  /** What was under way stops, but is kept until the leader's start says what becomes of it. */
  #enterTerm({ term, members }: { term: number; members: readonly number[] }, out: StepEffect[]): void {
    this.#term = term;
    this.#members = members;
    this.#suspended = true;
    this.#election = undefined;
    this.#commit = undefined;
    this.#waitingStart = undefined;
    this.#leaseAsked = false;
    this.#leasedTo = 1;
    this.#ending = false;
    this.#finished = false;
    out.push({ kind: "suspend" });
  }

  #onPromise({ node, term, committed }: { node: number; term: number; committed: Attempt }, out: StepEffect[]): void {
    const election = this.#election;
    if (!election || election.term !== term || election.finishing) return;
    election.promises.set(node, committed);
    if (election.promises.size < this.#nodes.length) return;
    const newest = [...election.promises.values()].reduce((a, b) => (b.step > a.step ? b : a));
    const behind = [...election.promises].filter(([, at]) => at.step < newest.step);
    assert(
      behind.every(([, at]) => at.step === newest.step - 1),
      `nodes differ by more than one committed step: ${JSON.stringify([...election.promises])}`,
    );
    if (behind.length === 0) {
      this.#startAfter(newest, out);
      return;
    }
    election.finishing = newest;
    for (const [n, at] of election.promises) if (at.step === newest.step) election.finishedBy.add(n);
    for (const n of this.#nodes) out.push({ kind: "send-commit", node: n, term, ...newest });
  }

  #onCommitted({ node, step, attempt }: { node: number } & Attempt, out: StepEffect[]): void {
    if (this.#commit?.step === step && this.#commit.attempt === attempt) this.#commit.acks.add(node);
    const election = this.#election;
    if (election?.finishing?.step !== step || election.finishing.attempt !== attempt) return;
    election.finishedBy.add(node);
    if (election.finishedBy.size === this.#nodes.length) this.#startAfter({ step, attempt }, out);
  }

  /** As the leader, with every node at `committed`: start the next step under this term. */
  #startAfter(committed: Attempt, out: StepEffect[]): void {
    this.#election = undefined;
    const step = committed.step + 1;
    const attempt = this.#term;
    if (this.#held?.step === committed.step) this.#apply(committed, out);
    if (this.#applied !== committed.step) {
      const has = this.#applied < 0 ? "no dense weights" : `those of step ${this.#applied}`;
      out.push({
        kind: "fail",
        message: `every worker that held the dense weights of step ${committed.step} is gone; worker ${this.#worker} has ${has}`,
      });
      return;
    }
    for (const node of this.#nodes)
      out.push({
        kind: "send-start-to-node",
        node,
        step,
        attempt,
        slots: this.#members.length,
        members: this.#members,
      });
    for (const worker of this.#members) {
      if (worker === this.#worker) continue;
      out.push({ kind: "send-start-to-worker", worker, step, attempt, members: this.#members });
      if (committed.step > 0 && !this.#synced.has(worker))
        out.push({ kind: "send-dense-state", worker, step: committed.step });
    }
    if (committed.step > 0) out.push({ kind: "report-commit", ...committed });
    this.#onStart({ step, attempt, members: this.#members }, out);
  }

  #onStart(event: { step: number; attempt: number; members: readonly number[] }, out: StepEffect[]): void {
    const { step, attempt, members } = event;
    if (this.#run && !this.#suspended && this.#run.attempt === attempt) return; // a repeated start
    // The leader's word may arrive before the coordinator's.
    if (attempt > this.#term) this.#enterTerm({ term: attempt, members }, out);
    if (this.#held?.step === step - 1) this.#apply(this.#held, out);
    if (this.#applied !== step - 1) {
      this.#waitingStart = event;
      return;
    }
    if (this.#run && this.#run.step >= step)
      out.push({ kind: "drop", step: this.#run.step, attempt: this.#run.attempt });
    this.#held = undefined;
    this.#suspended = false;
    this.#run = newRun({ step, attempt }, members);
    this.#prepare(step, out);
  }

  #onDenseState(step: number, out: StepEffect[]): void {
    const start = this.#waitingStart;
    if (!start || start.step - 1 !== step) return;
    this.#waitingStart = undefined;
    this.#applied = step;
    this.#onStart(start, out);
  }

  #prepare(step: number, out: StepEffect[]): void {
    const run = this.#run!;
    out.push({ kind: "prepare", step, attempt: run.attempt, rank: this.rank, slots: run.members.length });
  }

  #onPulled({ node, step, committed }: { node: number; step: number; committed: Attempt }, out: StepEffect[]): void {
    // The first answer for step s + 1, from any node, says that s is committed.
    if (this.#held && this.#held.step === committed.step && step === committed.step + 1) {
      assert(
        this.#held.attempt === committed.attempt,
        `step ${committed.step} was committed as attempt ${committed.attempt}, held is ${this.#held.attempt}`,
      );
      this.#apply(committed, out);
    }
    if (this.#suspended || !this.#run) return;
    if (step === this.#run.step + 1 && this.#applied === this.#run.step) {
      if (this.isLeader) out.push({ kind: "report-commit", ...committed });
      this.#run = newRun({ step, attempt: this.#run.attempt }, this.#run.members);
    }
    const run = this.#run;
    if (step !== run.step) return;
    run.pulled.add(node);
    if (run.pulled.size < this.#nodes.length || run.computing) return;
    run.computing = true;
    if (step > this.#stepsMax) {
      this.#finish(step - 1, out);
    } else {
      out.push({ kind: "compute", step, attempt: run.attempt });
    }
  }

  #push(out: StepEffect[]): void {
    const run = this.#run!;
    if (run.pushed) return;
    if (this.isLeader && this.#ending) {
      this.#finish(run.step - 1, out);
      return;
    }
    if (this.isLeader && run.step >= this.#leasedTo) {
      if (!this.#leaseAsked) out.push({ kind: "request-lease", term: this.#term });
      this.#leaseAsked = true;
      return;
    }
    run.pushed = true;
    const { step, attempt } = run;
    out.push({ kind: "push", step, attempt });
    out.push({ kind: "reduce", step, attempt, rank: this.rank, members: run.members });
    this.#prepare(step + 1, out);
  }

  /**
   * What the leader has not pushed is not committed, whatever the others have: so the step before it is the last one,
   * and it is known committed everywhere, since every node has answered the pull of the next.
   */
  #onNoLease(out: StepEffect[]): void {
    this.#ending = true;
    this.#leaseAsked = false;
    const run = this.running as Run | undefined;
    if (run?.computed) this.#push(out);
  }

  #finish(step: number, out: StepEffect[]): void {
    if (this.#finished) return;
    this.#finished = true;
    out.push({ kind: "finished", step });
  }

  #onReduced({ step, attempt }: Attempt, out: StepEffect[]): void {
    if (!this.#isCurrent({ step, attempt })) return;
    this.#held = { step, attempt };
    if (!this.isLeader) {
      this.#sendHeld(this.#held, out);
      return;
    }
    this.#run!.heldBy.add(0);
    this.#commitWhenWhole(out);
  }

  #sendHeld({ step, attempt }: Attempt, out: StepEffect[]): void {
    out.push({ kind: "send-held", worker: this.#run!.members[0]!, step, attempt, rank: this.rank });
  }

  #commitWhenWhole(out: StepEffect[]): void {
    const run = this.#run!;
    if (!this.isLeader || run.commitSent) return;
    if (run.staged.size < this.#nodes.length || run.heldBy.size < run.members.length) return;
    run.commitSent = true;
    const { step, attempt } = run;
    this.#commit = { step, attempt, acks: new Set() };
    for (const node of this.#nodes) out.push({ kind: "send-commit", node, step, attempt, term: this.#term });
  }

  #apply(committed: Attempt, out: StepEffect[]): void {
    this.#held = undefined;
    this.#applied = committed.step;
    this.#synced = new Set(this.#run!.members);
    out.push({ kind: "apply", step: committed.step, attempt: committed.attempt });
  }

  /** Repeats to `node` everything it has not answered. */
  #resend(node: number, out: StepEffect[]): void {
    const election = this.#election;
    if (election) {
      if (election.finishing) {
        if (!election.finishedBy.has(node))
          out.push({ kind: "send-commit", node, term: election.term, ...election.finishing });
      } else if (!election.promises.has(node)) out.push({ kind: "send-fence", node, term: election.term });
      return;
    }
    const run = this.running as Run | undefined;
    if (!run) return;
    const { step, attempt } = run;
    if (this.isLeader) {
      out.push({ kind: "send-fence", node, term: this.#term }); // rebinds the leader's link after a reconnect
      out.push({ kind: "send-start-to-node", node, step, attempt, slots: run.members.length, members: run.members });
      const commit = this.#commit;
      if (commit && !commit.acks.has(node)) {
        out.push({ kind: "send-commit", node, step: commit.step, attempt: commit.attempt, term: this.#term });
      }
    }
    if (!run.pulled.has(node)) out.push({ kind: "repeat-pull", node, step, attempt });
    if (run.pushed) {
      out.push({ kind: "repeat-push", node, step, attempt });
      if (!this.#finished) out.push({ kind: "repeat-pull", node, step: step + 1, attempt });
    }
  }
}

function newRun({ step, attempt }: Attempt, members: readonly number[]): Run {
  return {
    step,
    attempt,
    members,
    pulled: new Set(),
    computing: false,
    computed: false,
    pushed: false,
    staged: new Set(),
    heldBy: new Set(),
    commitSent: false,
  };
}
