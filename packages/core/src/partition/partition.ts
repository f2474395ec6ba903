/**
 * One partition of one job: a pure state machine that holds its rows and takes its part in a step (ARCHITECTURE.md,
 * "A step is a transaction"). Messages may come twice, late or out of order; each is applied at most once.
 *
 * - promised(term): messages of leaders with smaller terms are refused from then on.
 * - committed(step, attempt): the last step applied to the rows.
 * - open(attempt, slots): step committed + 1 is collecting slots of this attempt; staged once it closed.
 *
 * A new attempt opens by `start` alone; after a commit the next step opens by itself in the same attempt. This is
 * a chain of one replica, head and tail at once.
 */
import type { Consistency } from "../consistency/index.ts";
import { LIMITS } from "../limits.ts";
import { PushIdentities, type PushIdentity } from "./push-identities.ts";
import { Rows, type ExportedRows } from "../table/rows.ts";
import {
  checkContents,
  floatsOf,
  layOut,
  TableSet,
  type KeySegment,
  type Segment,
  type SegmentLayout,
} from "./segment.ts";
import { Staging } from "./staging.ts";
import type { TableSpec } from "../table/table-spec.ts";

export interface Committed {
  readonly step: number;
  readonly attempt: number;
}

export type PromiseAnswer =
  | { readonly kind: "promised"; readonly term: number; readonly committed: Committed }
  /** `term` is the greater one that was promised. */
  | { readonly kind: "refused"; readonly term: number };

export type StartAnswer =
  | { readonly kind: "accepted" }
  /** The term is below `term`, the attempt is older than the open one, or the step does not follow `committed`. */
  | { readonly kind: "refused"; readonly term: number; readonly committed: Committed };

/**
 * waiting: taken, others are missing · staged: taken, the step is closed and summed · duplicate: it was in already
 * · late: of an old step or attempt, or after its step closed, dropped · early: of a step or attempt that is not
 * open yet; the sender or the node keeps it and sends it again.
 */
export type Received = "waiting" | "staged" | "duplicate" | "late" | "early";

export type CommitAnswer = "committed" | "already" | "refused";

export interface PartitionOptions {
  /** Which partition this is. */
  readonly partition: number;
  /** Version of its chain of replicas. */
  readonly generation: number;
  readonly seed: number;
  readonly tables: readonly TableSpec[];
  readonly mode: Consistency;
}

export class Partition {
  readonly partition: number;
  readonly generation: number;
  readonly #mode: Consistency;
  readonly #tables: TableSet;
  /** In the order of the tables. */
  readonly #rows: readonly Rows[];
  readonly #staging: Staging;
  readonly #identities = new PushIdentities();
  #promised = 0;
  #committed: Committed = { step: 0, attempt: 0 };
  /** The attempt at step committed + 1, or undefined before the first start. */
  #attempt: number | undefined;
  #staged = false;

  constructor({ partition, generation, seed, tables, mode }: PartitionOptions) {
    this.partition = partition;
    this.generation = generation;
    this.#mode = mode;
    this.#tables = new TableSet(tables);
    this.#rows = tables.map((spec) => new Rows(spec, seed));
    this.#staging = new Staging(this.#tables);
  }

  /** The last step applied, and the attempt that carried it. Step 0 stands for the initial values. */
  get committed(): Committed {
    return this.#committed;
  }

  /** The greatest term promised. */
  get promised(): number {
    return this.#promised;
  }

  /** The attempt that step `committed.step + 1` is collecting, or undefined before the first start. */
  get attempt(): number | undefined {
    return this.#attempt;
  }

  /** Is step `committed.step + 1` closed and summed, ready to commit? */
  get staged(): boolean {
    return this.#staged;
  }

  /** Fences: refuses smaller terms from now on and tells what was committed. What is staged stays staged. */
  promise(term: number): PromiseAnswer {
    if (term < this.#promised) return { kind: "refused", term: this.#promised };
    this.#promised = term;
    return { kind: "promised", term, committed: this.#committed };
  }

  /**
   * Opens an attempt at the next step, for `slots` slots, and drops what an older attempt collected; promises its
   * term. The open attempt again changes nothing.
   *
   * @throws {RangeError} a number of slots that no step has, or another one for the open attempt
   */
  start({ step, attempt, slots, term }: { step: number; attempt: number; slots: number; term: number }): StartAnswer {
    if (!(Number.isInteger(slots) && slots >= 1 && slots <= LIMITS.workersPerJobMax)) {
      throw new RangeError(`start with ${slots} slots: a step has 1 to ${LIMITS.workersPerJobMax}`);
    }
    const stale = term < this.#promised || (this.#attempt !== undefined && attempt < this.#attempt);
    if (stale || step !== this.#committed.step + 1) {
      return { kind: "refused", term: this.#promised, committed: this.#committed };
    }
    if (attempt === this.#attempt && slots !== this.#staging.slots) {
      throw new RangeError(`attempt ${attempt} has ${this.#staging.slots} slots, not ${slots}: start a new attempt`);
    }
    this.#promised = term;
    if (attempt !== this.#attempt) this.#open(attempt, slots);
    return { kind: "accepted" };
  }

  /**
   * Takes the segment of a slot, or null when the slot has nothing for this partition.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   */
  receive({ step, attempt, slot, segment }: Committed & { slot: number; segment: Segment | null }): Received {
    const next = this.#committed.step + 1;
    if (step < next) return "late";
    if (step > next || this.#attempt === undefined || attempt > this.#attempt) return "early";
    if (attempt < this.#attempt) return "late";
    if (this.#staging.has(slot)) return "duplicate";
    if (this.#staged) return "late";
    this.#staging.add(slot, segment);
    if (!this.#mode.closesStep(this.#staging)) return "waiting";
    this.#staging.sum();
    this.#staged = true;
    return "staged";
  }

  /** Applies what is staged, once, and opens the next step in the same attempt. */
  commit({ step, attempt, term }: Committed & { term: number }): CommitAnswer {
    if (term < this.#promised) return "refused";
    const { committed } = this;
    if (step < committed.step || (step === committed.step && attempt === committed.attempt)) return "already";
    if (step !== committed.step + 1 || attempt !== this.#attempt || !this.#staged) return "refused";
    this.#apply(step);
    this.#committed = { step, attempt };
    this.#open(attempt, this.#staging.slots);
    return "committed";
  }

  /** May a pull for `step`, which wants the state after step − 1, be answered now? */
  mayPull(step: number): boolean {
    return this.#mode.mayPull({ wanted: step, committed: this.#committed.step });
  }

  /**
   * How many floats {@link read} writes for these keys.
   *
   * @throws {RangeError} unknown table, or counts that do not fit their arrays
   */
  readFloats(segment: KeySegment): number {
    return floatsOf(this.#tables, segment);
  }

  /**
   * Writes the weights of the keys to `out` from `outAt` on, in their order, initial values where there is no row.
   * Changes nothing.
   *
   * @returns floats written
   * @throws {RangeError} unknown table, counts that do not fit their arrays, or `out` too short
   */
  read(segment: KeySegment, out: Float32Array, outAt: number): number {
    const floats = floatsOf(this.#tables, segment);
    if (outAt + floats > out.length)
      throw new RangeError(`read of ${floats} floats to ${outAt} of an array of ${out.length}`);
    const { tables, counts, countsAt, keys } = segment;
    let pair = segment.keysAt;
    let at = outAt;
    for (let t = 0; t < tables.length; t++) {
      const n = counts[countsAt + t]!;
      if (n === 0) continue;
      const rows = this.#rows[this.#tables.placeOf(tables[t]!, t)]!;
      rows.read(keys, pair, pair + n, out, at);
      pair += n;
      at += n * rows.dim;
    }
    return floats;
  }

  /**
   * Checks a segment for {@link set} or {@link pushDirect}; a frame's segments are all checked before one is applied.
   *
   * @throws {RangeError} a bad segment, naming table and key
   */
  check(segment: Segment): void {
    this.#checkedLayout(segment);
  }

  /**
   * Overwrites the weights of rows, which are then as if new with these weights. No part of a step; setting the
   * same again changes nothing.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   */
  set(segment: Segment): void {
    const layout = this.#checkedLayout(segment);
    for (const [i, rows] of this.#rows.entries()) {
      const from = layout.keysAt[i]!;
      const to = from + layout.counts[i]!;
      rows.set(segment.keys, from, to, segment.values, layout.valuesAt[i]!, this.#committed.step);
    }
  }

  /**
   * Was this direct push applied before?
   *
   * @throws {RangeError | ClusterError} an identity that no client may have
   */
  hasApplied(identity: PushIdentity): boolean {
    return this.#identities.has(identity);
  }

  /**
   * Applies gradients at once, outside of steps. The same push again changes nothing.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   */
  pushDirect(identity: PushIdentity, segment: Segment): "applied" | "duplicate" {
    if (this.#identities.has(identity)) return "duplicate";
    const layout = this.#checkedLayout(segment);
    this.#identities.add(identity);
    for (const [i, rows] of this.#rows.entries()) {
      const from = layout.keysAt[i]!;
      const to = from + layout.counts[i]!;
      rows.update(segment.keys, from, to, segment.values, layout.valuesAt[i]!, this.#committed.step);
    }
    return "applied";
  }

  /**
   * Copies at least one and at most `rowsMax` rows of one table, for snapshots: start with cursor 0 and go on with
   * `next` until it is undefined.
   *
   * @throws {RangeError} unknown table
   */
  export({ table, cursor, rowsMax }: { table: number; cursor: number; rowsMax: number }): ExportedRows {
    const rows = this.#rows[this.#tables.placeOf(table, table)]!;
    return rows.export(cursor, Math.min(Math.max(1, rowsMax), LIMITS.exportRowsMax));
  }

  /** Rows of one table, or of all. */
  rowCount(table?: number): number {
    if (table !== undefined) return this.#rows[this.#tables.placeOf(table, table)]!.count;
    return this.#rows.reduce((sum, rows) => sum + rows.count, 0);
  }

  /** Memory of rows, their index and what is staged. */
  bytes(): number {
    return this.#rows.reduce((sum, rows) => sum + rows.bytes(), this.#staging.bytes());
  }

  #checkedLayout(segment: Segment): SegmentLayout {
    const T = this.#rows.length;
    const layout = { counts: new Uint32Array(T), keysAt: new Uint32Array(T), valuesAt: new Uint32Array(T) };
    layOut(this.#tables, segment, layout, 0);
    checkContents(this.#tables, segment, layout, 0);
    return layout;
  }

  #open(attempt: number, slots: number): void {
    this.#attempt = attempt;
    this.#staged = false;
    this.#staging.open(slots);
  }

  #apply(step: number): void {
    const { counts, keys, values } = this.#staging;
    let pair = 0;
    let at = 0;
    for (let i = 0; i < counts.length; i++) {
      const n = counts[i]!;
      if (n === 0) continue;
      const rows = this.#rows[i]!;
      rows.update(keys, pair, pair + n, values, at, step);
      pair += n;
      at += n * rows.dim;
    }
  }
}
