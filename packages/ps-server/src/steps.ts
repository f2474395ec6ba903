/**
 * A PS node's part in the step transaction: it speaks for all partitions that it is the head of. What it answers, it
 * answers once the tails of their chains have it. Where a step closes by its leader's word, the leader is told at once
 * which slots are in: until then they are this node's alone.
 *
 * Messages name the `heads` of the partition map that they were made by. Where the node's own map is newer, the sender
 * is told so; where it is older, they wait for it.
 */
import type { Control, ControlOf, Frame } from "@volary/core/wire";
import type { Committed, Received } from "@volary/core/partition";
import { closeStep, isClosedByLeader, slotsIn } from "./closed-steps.ts";
import type { LinkId, PsEffects } from "./effects.ts";
import { committedOf, wholly, type JobShard, type LeaderControl } from "./job-shard.ts";
import type { NodeContext } from "./node-context.ts";
import { answerPull, bytesOfParts, readParts } from "./pull-reply.ts";
import { openValues } from "./pushed-values.ts";

export interface StepsOptions {
  context: NodeContext;
  /** Handles a frame that waited. */
  answer: (shard: JobShard, link: LinkId, f: Frame, out: PsEffects) => void;
}

export class Steps {
  readonly #context: NodeContext;
  readonly #answer: StepsOptions["answer"];

  constructor({ context, answer }: StepsOptions) {
    this.#context = context;
    this.#answer = answer;
  }

  onControl(shard: JobShard, link: LinkId, control: LeaderControl, out: PsEffects): void {
    if (this.#mustWait(shard, control.heads)) {
      const { blockedControls } = shard;
      const same = blockedControls.findIndex((each) => each.link === link && each.control.type === control.type);
      if (same >= 0) blockedControls.splice(same, 1);
      blockedControls.push({ link, control });
    } else if (control.heads < this.#heads) this.#tellStaleHeads(shard, link, out);
    else if (control.type === "fence") this.#fence(shard, link, control, out);
    else if (control.type === "start") this.#start(shard, link, control, out);
    else if (control.type === "close") this.#close(shard, link, control, out);
    else this.#commit(shard, link, control, out);
  }

  get #heads(): number {
    return this.#context.map?.heads ?? 0;
  }

  /** Does a message wait for a newer map, or until a partition has moved? */
  #mustWait({ heads }: JobShard, made: number): boolean {
    return made > this.#heads || (made === this.#heads && heads.some(({ isHeld }) => isHeld));
  }

  /** Was it made by a newer map, which changed a chain behind its head alone? */
  #isAhead({ partitions, generations }: Frame): boolean {
    const { map } = this.#context;
    return partitions.some((p, s) => generations[s]! > (map?.entries[p]?.generation ?? 0));
  }

  #tellStaleHeads({ job }: JobShard, link: LinkId, out: PsEffects): void {
    out.push({ kind: "control", link, control: { type: "stale-heads", job, heads: this.#heads } });
  }

  #tellStaleTerm({ job, term }: JobShard, link: LinkId, out: PsEffects): void {
    out.push({ kind: "control", link, control: { type: "stale-term", job, promised: term } });
  }

  /** Says something to a leader once the chains have what was done. It asks again where they change before. */
  #tellLater({ replication, heads }: JobShard, link: LinkId, control: Control, out: PsEffects): void {
    replication.afterWrites(heads, { release: () => out.push({ kind: "control", link, control }), fail: () => {} });
    replication.flush();
  }

  #fence(shard: JobShard, link: LinkId, { term, heads }: ControlOf<"fence">, out: PsEffects): void {
    if (term < shard.term) {
      this.#tellStaleTerm(shard, link, out);
      return;
    }
    const promising = shard.heads.filter(({ partition }) => partition.promised < term);
    for (const { partition } of shard.heads) partition.promise(term);
    shard.records.promised(promising, term);
    const isNew = term > shard.term;
    shard.term = term;
    shard.leader = link;
    if (isNew) this.#forgetOlder(shard, term);
    const { job } = shard;
    const { step, attempt, whole } = committedOf(shard);
    this.#tellLater(shard, link, { type: "promise", job, term, heads, committed: { step, attempt }, whole }, out);
    if (!isNew) this.#tellProgress(shard, out);
  }

  #forgetOlder(shard: JobShard, term: number): void {
    const { counters } = this.#context;
    counters.abandonedPulls += shard.parked.drop((pull) => pull.frame.term < term);
    counters.latePushes += shard.early.drop((push) => push.frame.term < term);
  }

  #start(shard: JobShard, link: LinkId, control: ControlOf<"start">, out: PsEffects): void {
    if (control.term < shard.term) {
      this.#tellStaleTerm(shard, link, out);
      return;
    }
    shard.leader = link;
    for (const { partition } of shard.heads) {
      if (partition.start(control).kind === "refused") {
        this.#context.counters.refusedSteps++;
        return;
      }
    }
    this.#tellProgress(shard, out);
    for (const { link: from, frame: f } of shard.early.takeAll()) this.#answer(shard, from, f, out);
  }

  #close(shard: JobShard, link: LinkId, control: ControlOf<"close">, out: PsEffects): void {
    if (control.term < shard.term || !closeStep(shard, control, this.#context.counters)) {
      this.#context.counters.refusedSteps++;
      if (control.term < shard.term) this.#tellStaleTerm(shard, link, out);
      return;
    }
    shard.leader = link;
    this.#tellStaged(shard, out);
  }

  #commit(shard: JobShard, link: LinkId, control: ControlOf<"commit">, out: PsEffects): void {
    const { step, attempt, term } = control;
    const { counters, sabotages } = this.#context;
    const isBehind = ({ partition: { committed } }: JobShard["heads"][number]) => committed.step < step;
    const mayCommit = ({ partition }: JobShard["heads"][number]) =>
      partition.staged && partition.attempt === attempt && partition.committed.step === step - 1;
    const behind = shard.heads.filter(isBehind);
    if (sabotages.has("commit-with-one-partition-unstaged")) this.#stageAsIs(shard, { step, attempt });
    const isOther = shard.heads.some(
      ({ partition: { committed } }) => committed.step === step && committed.attempt !== attempt,
    );
    if (isOther || (behind.length > 0 && (term < shard.term || !behind.every(mayCommit)))) {
      counters.refusedSteps++;
      if (term < shard.term) this.#tellStaleTerm(shard, link, out);
      return;
    }
    for (const { partition } of behind) wholly(shard, () => partition.commit({ step, attempt, term }));
    shard.records.committed(behind, { step, attempt, term });
    if (behind.length > 0) counters.commits++;
    this.#tellLater(shard, link, { type: "committed", job: shard.job, step, attempt, heads: control.heads }, out);
    for (const { link: from, frame: f } of shard.early.takeAll()) this.#answer(shard, from, f, out);
    for (const { link: from, frame: f } of shard.parked.takeAll()) this.#answer(shard, from, f, out);
  }

  /** A sabotage: slots that are not in count as empty. */
  #stageAsIs(shard: JobShard, { step, attempt }: Committed): void {
    const open = shard.heads.filter(({ partition: { staged, committed } }) => !staged && committed.step === step - 1);
    for (const { partition } of open)
      for (let slot = 0; slot < partition.slots; slot++) partition.receive({ step, attempt, slot, segment: null });
    const newlyStaged = open.filter(({ partition }) => partition.staged);
    if (newlyStaged.length > 0)
      shard.records.staged(newlyStaged, { step, attempt, slots: newlyStaged[0]!.partition.slots });
  }

  /** Tells the leader how far the open step is. */
  #tellProgress(shard: JobShard, out: PsEffects): void {
    if (isClosedByLeader(shard.mode)) for (const slot of slotsIn(shard.heads)) this.#tellSlotIn(shard, slot, out);
    this.#tellStaged(shard, out);
  }

  /** Every partition has the slot. */
  #tellSlotIn({ heads, leader, job }: JobShard, slot: number, out: PsEffects): void {
    const open = heads[0]?.partition;
    if (leader === undefined || open?.attempt === undefined) return;
    const at = { step: open.committed.step + 1, attempt: open.attempt };
    out.push({ kind: "control", link: leader, control: { type: "slot-in", job, ...at, slot, heads: this.#heads } });
  }

  /** Tells the leader once every partition has staged its step. */
  #tellStaged(shard: JobShard, out: PsEffects): void {
    const { leader, heads, job } = shard;
    if (leader === undefined || heads.length === 0) return;
    const first = heads.find(({ partition }) => partition.staged)?.partition;
    if (!first) return;
    const { committed, attempt } = first;
    const isWhole = heads.every(
      ({ partition: p }) => p.staged && p.committed.step === committed.step && p.attempt === attempt,
    );
    if (!isWhole) return;
    const staged = { type: "staged", job, step: committed.step + 1, attempt: attempt!, heads: this.#heads } as const;
    this.#tellLater(shard, leader, staged, out);
  }

  /** A slot's gradients. A slot counts for every partition of the node, whether it has a segment or not. */
  push(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    if (this.#mustWait(shard, f.generation)) {
      shard.blocked.keep({ link, frame: f });
      return;
    }
    if (f.generation < this.#heads) {
      this.#context.counters.latePushes++;
      this.#tellStaleHeads(shard, link, out);
      return;
    }
    const { counters, buffers, segments } = this.#context;
    const values = openValues(this.#context, shard, f);
    try {
      if (segments.stale > 0 && this.#isAhead(f)) {
        shard.blocked.keep({ link, frame: f });
        return;
      }
      const outcome = this.#receive(shard, f);
      if (outcome === "early") shard.early.keep({ link, frame: f });
      else if (outcome === "late") counters.latePushes++;
      else {
        if (outcome === "duplicate") counters.repeatedPushes++;
        else counters.pushes++;
        counters.rowsPushed += f.keys.length / 2;
        segments.countLoad();
        if (isClosedByLeader(shard.mode)) this.#tellSlotIn(shard, f.slot, out);
        this.#tellStaged(shard, out);
      }
    } finally {
      if (values) buffers.give(values);
    }
  }

  /** Where a segment is refused, those before it are taken back: a push that fails has left nothing behind. */
  #receive(shard: JobShard, f: Frame): Received {
    const { segments } = this.#context;
    const { heads } = shard;
    const { step, attempt, slot } = f;
    if (segments.stale > 0) {
      const stale = f.partitions.filter((_, s) => segments.ownerOf(s) === undefined);
      throw new RangeError(`a push of step ${step} has partitions that this node is not the head of: ${stale.join()}`);
    }
    let outcome: Received = "waiting";
    let taken = 0;
    const wereStaged = heads.map(({ partition }) => partition.staged);
    try {
      for (let s = 0; taken < heads.length; taken++) {
        const { partition } = heads[taken]!;
        // Segments come in the order of their partitions, as those of the node do.
        while (s < f.partitions.length && f.partitions[s]! < partition.partition) s++;
        const isThere = f.partitions[s] === partition.partition;
        const received = partition.receive({ step, attempt, slot, segment: isThere ? segments.at(s) : null });
        if (received === "early" || received === "late") return received;
        outcome = received;
      }
    } catch (error) {
      for (let i = 0; i < taken; i++) heads[i]!.partition.withdraw({ step, attempt, slot });
      throw error;
    }
    const newlyStaged = heads.filter(({ partition }, i) => partition.staged && !wereStaged[i]);
    if (newlyStaged.length > 0) {
      const { slots } = newlyStaged[0]!.partition;
      shard.records.staged(newlyStaged, { step, attempt, slots });
    }
    return outcome;
  }

  /** A pull of a step waits until the step before it is committed. */
  pull(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const { counters, segments } = this.#context;
    if (f.term < shard.term) {
      counters.abandonedPulls++;
      return;
    }
    if (this.#mustWait(shard, f.generation)) {
      shard.blocked.keep({ link, frame: f });
      return;
    }
    if (f.generation < this.#heads) {
      counters.abandonedPulls++;
      this.#tellStaleHeads(shard, link, out);
      return;
    }
    segments.open(shard, f); // before it waits: what is wrong with it is the sender's fault, not the leader's
    const { step, attempt, whole } = committedOf(shard);
    if (!whole || !shard.mode.mayPull({ wanted: f.step, committed: step })) {
      shard.parked.keep({ link, frame: f });
      return;
    }
    const { requestId, job, term, generation } = f;
    const reply = { opcode: "pullReply", requestId, job, step, attempt, term, generation } as const;
    const isUnreplicated = shard.heads.every(({ isFollowed }) => !isFollowed);
    const answer = { link, pull: f, reply };
    if (isUnreplicated) answerPull(this.#context, answer, (part) => out.push(part));
    const parts = isUnreplicated ? [] : readParts(this.#context, answer);
    counters.pulls++;
    counters.rowsPulled += f.keys.length / 2;
    segments.countLoad();
    shard.replication.afterWrites(shard.heads, {
      bytes: bytesOfParts(parts),
      release: () => {
        for (const part of parts) out.push(part);
      },
      fail: () => {
        for (const { onSent } of parts) onSent?.();
      },
    });
  }
}
