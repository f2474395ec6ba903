/**
 * The workers' half of the step transaction: a pure state machine of control messages. Bulk data (batches, rows,
 * gradients) stays with the driver, `job-session.ts`, which carries out the effects and reports back as events.
 *
 * The wording of the rules is the model-checked one in ARCHITECTURE.md ("A step is a transaction"). In short: the
 * leader (rank 0) commits a step when every PS node has staged it and every rank holds its dense result; a new
 * leader first fences, then finishes the step if any partition has committed it, else starts it anew under its term.
 *
 * The PS nodes of a term are the heads of the partition map that it goes by, and each speaks for all partitions that it
 * is the head of there. Other heads mean another term: what the heads of the old one have not told is asked of the new.
 *
 * What happens when a peer dies here: nothing, until the coordinator announces a new term. Every message is
 * idempotent, so `resend` may repeat whatever is unanswered.
 */
import { assert } from "../../errors.ts";
import { NO_SABOTAGE, type Sabotages } from "../../sabotage.ts";
import { Recovery } from "./recovery.ts";
import {
  LOST,
  type Attempt,
  type DenseStateEvent,
  type HeldState,
  type PromiseEvent,
  type StartEvent,
  type StepEffect,
  type StepEvent,
  type TermEvent,
} from "./step-events.ts";

interface Run extends Attempt {
  members: readonly number[];
  pulled: Set<number>;
  computing: boolean;
  computed: boolean;
  pushed: boolean;
  staged: Set<number>;
  /** What ranks hold, by its hash. */
  heldBy: Map<number, string>;
  commitSent: boolean;
}

export class StepTransaction {
  readonly #stepsMax: number;
  readonly #worker: number;
  readonly #sabotages: Sabotages;
  #term = 0;
  #members: readonly number[] = [];
  #nodes: readonly number[] = [];
  /**
   * Members that held the dense result of the step this worker applied last, by the ranks that they had; who was only
   * started after it may lack it. Those that left since are LOST, even if they come back.
   */
  #owners: readonly number[] = [];
  /** Of a new leader, until it starts a step. */
  #recovery: Recovery | undefined;
  #run: Run | undefined;
  #suspended = true;
  #held: HeldState | undefined;
  #applied: number;
  /** The start that waits until the dense state has arrived. */
  #waitingStart: StartEvent | undefined;
  /** What the leader of a newer term has said before the coordinator's word of that term came. */
  #early: (StartEvent | DenseStateEvent)[] = [];
  #leasedTo = 1;
  #leaseAsked = false;
  /** Does training end before the job's last step, after what is pushed? */
  #ending = false;
  /** The newest commit this leader sent, and who has answered. */
  #commit: (Attempt & { acks: Set<number> }) | undefined;
  #finished = false;

  /**
   * @param worker this worker's id
   * @param stepsMax the job's last step; steps count from 1
   * @param applied the step whose dense state this worker has, -1 for none
   */
  constructor(o: { worker: number; stepsMax: number; applied: number; sabotages?: Sabotages | undefined }) {
    this.#worker = o.worker;
    this.#stepsMax = o.stepsMax;
    this.#applied = o.applied;
    this.#sabotages = o.sabotages ?? NO_SABOTAGE;
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
      case "dense-state":
        this.#onLeader(event, out);
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
          this.#run!.heldBy.set(event.rank, event.hash);
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
      case "resend":
        for (const node of this.#nodes) if (event.node === undefined || event.node === node) this.#resend(node, out);
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

  #onTerm(event: TermEvent, out: StepEffect[]): void {
    const { term } = event;
    if (term <= this.#term) return;
    this.#enterTerm(event, out);
    const early = this.#early;
    this.#early = early.filter(({ attempt }) => attempt > term);
    for (const said of early) if (said.attempt === term) this.#onLeader(said, out);
    if (!this.isLeader) return;
    if (this.#sabotages.has("start-without-fence")) {
      this.#startAfter({ step: this.#applied, attempt: 0 }, out);
      return;
    }
    this.#recovery = new Recovery({ term, nodes: this.#nodes });
    for (const node of this.#nodes) out.push({ kind: "send-fence", node, term });
  }

  /** What was under way stops, but is kept until the leader's start says what becomes of it. */
  #enterTerm({ term, members, nodes }: TermEvent, out: StepEffect[]): void {
    this.#term = term;
    this.#members = members;
    this.#nodes = nodes;
    this.#owners = this.#owners.map((worker) => (members.includes(worker) ? worker : LOST));
    this.#suspended = true;
    this.#recovery = undefined;
    this.#commit = undefined;
    this.#waitingStart = undefined;
    this.#leaseAsked = false;
    this.#leasedTo = 1;
    this.#ending = false;
    this.#finished = false;
    out.push({ kind: "suspend" });
  }

  #onPromise(event: PromiseEvent, out: StepEffect[]): void {
    const { send = [], recovered } = this.#recovery?.promised(event) ?? {};
    out.push(...send);
    if (recovered) this.#startAfter(recovered, out);
  }

  #onCommitted(event: { node: number } & Attempt, out: StepEffect[]): void {
    const { node, step, attempt } = event;
    if (this.#commit?.step === step && this.#commit.attempt === attempt) this.#commit.acks.add(node);
    const recovered = this.#recovery?.committed(event);
    if (recovered) this.#startAfter(recovered, out);
  }

  /** As the leader, with every partition at `committed`: start the next step under this term. */
  #startAfter(committed: Attempt, out: StepEffect[]): void {
    this.#recovery = undefined;
    const step = committed.step + 1;
    const attempt = this.#term;
    if (this.#held?.step === committed.step) this.#apply(committed, out);
    if (this.#applied !== committed.step) {
      const has = this.#applied < 0 ? "no dense weights" : `those of step ${this.#applied}`;
      out.push({
        kind: "fail",
        code: "NO_WORKERS",
        message: `every worker that held the dense weights of step ${committed.step} is gone; worker ${this.#worker} has ${has}`,
      });
      return;
    }
    const members = this.#members;
    const owners = this.#owners;
    for (const node of this.#nodes) out.push({ kind: "send-start-to-node", node, step, attempt, members });
    for (const worker of members) {
      if (worker === this.#worker) continue;
      out.push({ kind: "send-start-to-worker", worker, step, attempt, members, owners });
      if (committed.step > 0 && !owners.includes(worker))
        out.push({ kind: "send-dense-state", worker, step: committed.step, attempt });
    }
    if (committed.step > 0) out.push({ kind: "report-commit", ...committed });
    this.#onStart({ kind: "start", step, attempt, members, owners }, out);
  }

  /** The leader's word may come before the coordinator's, which says who the members and the nodes are: then it waits. */
  #onLeader(event: StartEvent | DenseStateEvent, out: StepEffect[]): void {
    const { kind, attempt } = event;
    if (attempt > this.#term) {
      if (this.#early.some((said) => said.attempt > attempt)) return;
      this.#early = this.#early.filter((said) => said.attempt === attempt && said.kind !== kind);
      this.#early.push(event);
    } else if (attempt === this.#term) {
      if (event.kind === "start") this.#onStart(event, out);
      else this.#onDenseState(event, out);
    }
  }

  #onStart(event: StartEvent, out: StepEffect[]): void {
    const { step, attempt, members, owners } = event;
    if (this.#run && !this.#suspended && this.#run.attempt === attempt) return; // a repeated start
    if (this.#held?.step === step - 1) this.#apply(this.#held, out);
    if (this.#applied !== step - 1) {
      this.#waitingStart = event;
      return;
    }
    if (this.#run && this.#run.step >= step)
      out.push({ kind: "drop", step: this.#run.step, attempt: this.#run.attempt });
    this.#held = undefined;
    this.#owners = owners;
    this.#suspended = false;
    this.#run = newRun({ step, attempt }, members);
    this.#prepare(step, out);
  }

  #onDenseState({ step }: DenseStateEvent, out: StepEffect[]): void {
    const start = this.#waitingStart;
    if (!start || start.step - 1 !== step) return;
    this.#waitingStart = undefined;
    this.#applied = step;
    out.push({ kind: "restore", step });
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
    out.push({ kind: "reduce", step, attempt, rank: this.rank, members: run.members, owners: this.#owners });
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

  #onReduced({ step, attempt, hash }: HeldState, out: StepEffect[]): void {
    if (!this.#isCurrent({ step, attempt })) return;
    this.#held = { step, attempt, hash };
    if (!this.isLeader) {
      this.#sendHeld(this.#held, out);
      return;
    }
    this.#run!.heldBy.set(0, hash);
    this.#commitWhenWhole(out);
  }

  #sendHeld(held: HeldState, out: StepEffect[]): void {
    out.push({ kind: "send-held", worker: this.#run!.members[0]!, ...held, rank: this.rank });
  }

  #commitWhenWhole(out: StepEffect[]): void {
    const run = this.#run!;
    if (!this.isLeader || run.commitSent) return;
    if (run.staged.size < this.#nodesToStage || run.heldBy.size < run.members.length) return;
    run.commitSent = true;
    const { step, attempt } = run;
    const odd = run.members.filter((_, rank) => run.heldBy.get(rank) !== run.heldBy.get(0));
    if (odd.length > 0) {
      const message =
        `at step ${step} the dense weights of worker ${odd.join(", ")} are not those of worker ${this.#worker}: nothing of ` +
        `the step is kept; run one version of Volary and Node on all workers, and check the memory of these machines`;
      out.push({ kind: "fail", code: "WEIGHTS_DIFFER", message });
      return;
    }
    this.#commit = { step, attempt, acks: new Set() };
    for (const node of this.#nodes) out.push({ kind: "send-commit", node, step, attempt, term: this.#term });
  }

  get #nodesToStage(): number {
    const all = this.#nodes.length;
    return this.#sabotages.has("commit-with-one-partition-unstaged") ? Math.max(1, all - 1) : all;
  }

  #apply(committed: Attempt, out: StepEffect[]): void {
    this.#held = undefined;
    this.#applied = committed.step;
    this.#owners = this.#run!.members;
    out.push({ kind: "apply", step: committed.step, attempt: committed.attempt });
  }

  /** Repeats to `node` everything it has not answered. */
  #resend(node: number, out: StepEffect[]): void {
    if (this.#recovery) {
      const unanswered = this.#recovery.unanswered(node);
      if (unanswered) out.push(unanswered);
      return;
    }
    const run = this.running as Run | undefined;
    if (!run) return;
    const { step, attempt } = run;
    if (this.isLeader) {
      out.push({ kind: "send-fence", node, term: this.#term }); // rebinds the leader's link after a reconnect
      out.push({ kind: "send-start-to-node", node, step, attempt, members: run.members });
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
    heldBy: new Map(),
    commitSent: false,
  };
}
