/**
 * A partition's part in the steps of its job: what was promised, which attempt is open, what is staged. It says when a
 * step is applied; `partition.ts` applies it.
 */
import type { Consistency } from "../consistency/index.ts";
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionParts } from "./partition-parts.ts";
import type { Sabotages } from "../sabotage.ts";
import {
  checkRuns,
  sizeOfRuns,
  writeRuns,
  type KeyRuns,
  type Segment,
  type SegmentSize,
  type SegmentTarget,
} from "./segment.ts";
import type { CloseAnswer, CommitAnswer, Committed, PromiseAnswer, Received, StartAnswer } from "./step-state.ts";

export class PartitionStep {
  readonly #parts: PartitionParts;
  readonly #mode: Consistency;
  readonly #sabotages: Sabotages;

  constructor(parts: PartitionParts, mode: Consistency, sabotages: Sabotages) {
    this.#parts = parts;
    this.#mode = mode;
    this.#sabotages = sabotages;
  }

  /** Fences: refuses smaller terms from now on and tells what was committed. What is staged stays staged. */
  promise(term: number): PromiseAnswer {
    if (term < this.#parts.state.promised) return { kind: "refused", term: this.#parts.state.promised };
    this.#parts.state.promised = term;
    return { kind: "promised", term, committed: this.#parts.state.committed };
  }

  /**
   * Opens an attempt at the next step, for `slots` slots, and drops what an older attempt collected; promises its
   * term. The open attempt again changes nothing.
   *
   * @throws {RangeError} a number of slots that no step has, or another one for the open attempt
   */
  start({ step, attempt, slots, term }: { step: number; attempt: number; slots: number; term: number }): StartAnswer {
    checkSlots(slots);
    if (this.#sabotages.has("start-without-fence") && step === this.#parts.state.committed.step)
      this.#parts.state.committed = { step: step - 1, attempt: 0 };
    const stale =
      term < this.#parts.state.promised ||
      (this.#parts.state.attempt !== undefined && attempt < this.#parts.state.attempt);
    if (stale || step !== this.#parts.state.committed.step + 1) {
      return { kind: "refused", term: this.#parts.state.promised, committed: this.#parts.state.committed };
    }
    if (attempt === this.#parts.state.attempt && slots !== this.#parts.staging.slots) {
      throw new RangeError(
        `attempt ${attempt} has ${this.#parts.staging.slots} slots, not ${slots}: start a new attempt`,
      );
    }
    this.#parts.state.promised = term;
    if (attempt !== this.#parts.state.attempt) this.#open(attempt, slots);
    return { kind: "accepted" };
  }

  /**
   * Takes the segment of a slot, or null when the slot has nothing for this partition; keeps a copy.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows that the step would create; PARTITION_UNAVAILABLE: rows
   *   of it cannot be read from disk; the slot is not in then
   */
  receive({ step, attempt, slot, segment }: Committed & { slot: number; segment: Segment | null }): Received {
    const next = this.#parts.state.committed.step + 1;
    if (step < next) return "late";
    if (step > next || this.#parts.state.attempt === undefined || attempt > this.#parts.state.attempt) return "early";
    if (attempt < this.#parts.state.attempt) return "late";
    if (this.#parts.staging.has(slot)) return "duplicate";
    if (this.#parts.state.staged) return "late";
    this.#parts.staging.add(slot, segment);
    if (!this.#mode.closesStep(this.#parts.staging)) return "waiting";
    try {
      this.#parts.staging.sum();
      this.#parts.room.pledge(this.#parts.staging.sums);
    } catch (error) {
      this.#parts.staging.remove(slot);
      throw error;
    }
    this.#parts.state.staged = true;
    return "staged";
  }

  /** Is a slot of the open step in? */
  hasSlot({ step, attempt, slot }: Committed & { slot: number }): boolean {
    const { state, staging } = this.#parts;
    return step === state.committed.step + 1 && attempt === state.attempt && staging.has(slot);
  }

  /**
   * Closes the open step: it is the sum of these slots, in their order, times `scale`; what others sent is dropped. One
   * that is closed stays as it is.
   *
   * @throws {RangeError} the sums are not finite; the step is open then, and these slots are in
   * @throws {ClusterError} as `receive`; the same then
   */
  close({ step, attempt, slots, scale }: Committed & { slots: readonly number[]; scale: number }): CloseAnswer {
    const { tables, arena, state, staging, room } = this.#parts;
    assert(state.role === "head", "a replica stages what its head has closed");
    if (step !== state.committed.step + 1 || attempt !== state.attempt) return "refused";
    if (!slots.every((slot) => staging.has(slot))) return "refused";
    if (state.staged) return "already";
    staging.keepOnly(new Set(slots));
    staging.sum(scale);
    checkRuns(tables, staging.sums, arena);
    room.pledge(staging.sums);
    state.staged = true;
    return "staged";
  }

  /** Opens a step again that was closed, with the slots that it was the sum of: its close was refused elsewhere. */
  reopen(): void {
    const { state, staging, room } = this.#parts;
    assert(state.staged && !staging.isTaken, "a step is opened again where its slots are");
    room.release();
    state.staged = false;
  }

  /** Takes a slot back that is in but not committed, as if it had never come: its push was refused elsewhere. */
  withdraw({ step, attempt, slot }: Committed & { slot: number }): void {
    if (
      step !== this.#parts.state.committed.step + 1 ||
      attempt !== this.#parts.state.attempt ||
      !this.#parts.staging.has(slot)
    )
      return;
    if (this.#parts.staging.isTaken) return; // its slots are not here, only their sums
    if (this.#parts.state.staged) this.#parts.room.release();
    this.#parts.state.staged = false;
    this.#parts.staging.remove(slot);
  }

  /** How much {@link writeStaged} writes. */
  stagedSize(): SegmentSize {
    assert(this.#parts.state.staged, "the sums of a step are there once it is staged");
    return sizeOfRuns(this.#parts.tables, this.#parts.staging.sums);
  }

  /** Copies the sums of the step that is staged: a count for each table of the job, in its order, keys, values. */
  writeStaged(into: SegmentTarget): void {
    assert(this.#parts.state.staged, "the sums of a step are there once it is staged");
    writeRuns(this.#parts.tables, this.#parts.staging.sums, this.#parts.arena, into);
  }

  /**
   * Takes a step as the head staged it, with the sums over its slots or null where it has none, in place of what was
   * staged before.
   *
   * @throws {RangeError} not the step that follows the committed one, or a bad segment; nothing has changed then
   * @throws {ClusterError} as `receive`; nothing has changed then
   */
  stage({ step, attempt, slots, segment }: Committed & { slots: number; segment: Segment | null }): void {
    assert(this.#parts.state.role === "replica", "a head stages by its slots");
    checkSlots(slots);
    const state = this.#parts.state;
    if (step !== state.committed.step + 1)
      throw new RangeError(
        `step ${step} of partition ${this.#parts.partition} was staged by its head, where step ${state.committed.step} is committed`,
      );
    const sums = this.#parts.staging.prepare(segment);
    this.#parts.room.release();
    try {
      this.#parts.room.pledge(sums);
    } catch (error) {
      if (state.staged) this.#parts.room.pledge(this.#parts.staging.sums);
      throw error;
    }
    this.#parts.staging.take(slots);
    state.attempt = attempt;
    state.staged = true;
  }

  /**
   * Applies what is staged, once, and opens the next step in the same attempt.
   *
   * @param o.term that a head may refuse; a replica's head did not
   * @param apply applies the sums
   */
  commit({ step, attempt, term }: Committed & { term: number }, apply: (sums: KeyRuns) => void): CommitAnswer {
    if (this.#parts.state.role === "head" && term < this.#parts.state.promised) return "refused";
    const { committed } = this.#parts.state;
    if (step < committed.step || (step === committed.step && attempt === committed.attempt)) return "already";
    if (step !== committed.step + 1 || attempt !== this.#parts.state.attempt || !this.#parts.state.staged)
      return "refused";
    this.#parts.room.release(); // what it held is now taken for what it was held for
    apply(this.#parts.staging.sums);
    this.#parts.state.committed = { step, attempt };
    this.#open(attempt, this.#parts.staging.slots);
    return "committed";
  }

  /** Drops what is in of a step that is not staged. */
  dropSlots(): void {
    if (!this.#parts.state.staged) this.#parts.staging.open(this.#parts.staging.slots);
  }

  #open(attempt: number, slots: number): void {
    this.#parts.state.attempt = attempt;
    this.#parts.state.staged = false;
    this.#parts.room.release();
    this.#parts.staging.open(slots);
  }
}

function checkSlots(slots: number): void {
  if (Number.isInteger(slots) && slots >= 1 && slots <= LIMITS.workersPerJobMax) return;
  throw new RangeError(`start with ${slots} slots: a step has 1 to ${LIMITS.workersPerJobMax}`);
}
