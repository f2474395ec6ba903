/**
 * One partition of one job: a pure state machine that holds its rows and takes its part in a step (ARCHITECTURE.md,
 * "A step is a transaction"). Messages may come twice, late or out of order; each is applied at most once.
 *
 * - promised(term): messages of leaders with smaller terms are refused from then on.
 * - committed(step, attempt): the last step applied to the rows.
 * - open(attempt, slots): step committed + 1 is collecting slots of this attempt; staged once it closed, by itself when
 *   all are in, or by its leader's word.
 *
 * A new attempt opens by `start` alone; after a commit the next step opens by itself in the same attempt. Where gradients
 * are applied as they come there are no attempts: `committed` is the newest step that a push was of.
 *
 * The head of a chain of replicas takes these messages, and its changes reach the other replicas as records, in order:
 * a staged step as its sums (`stage`), then `commit`, `promise`, `set` and `pushDirect`. A replica applies them without
 * deciding anything, so that it can go on where its head ended (`lead`). A new replica takes a copy while its source
 * goes on changing (`partition-copy.ts`).
 */
import type { Consistency } from "../consistency/index.ts";
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { NO_SABOTAGE, type Sabotages } from "../sabotage.ts";
import type { Arena } from "../table/arena.ts";
import type { EvictionTime } from "../table/eviction.ts";
import type { ExportedRows } from "../table/exported-rows.ts";
import type { RowDtype } from "../table/row-layout.ts";
import { Rows } from "../table/rows.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import type { TombstonesAnswer, VocabularyRecord } from "../table/vocabulary-record.ts";
import { PartitionCopy, PartitionCopyTarget } from "./partition-copy.ts";
import { digestOf } from "./partition-digest.ts";
import type { PartitionParts } from "./partition-parts.ts";
import { PartitionStep } from "./partition-step.ts";
import { PushIdentities, stepOf, TRAINING_CLIENT, type DirectPush, type PushIdentity } from "./push-identities.ts";
import { bytesToRead, readRows, type ReadTarget } from "./read-rows.ts";
import { Room } from "./room.ts";
import {
  checkRuns,
  copySegment,
  layOut,
  newRuns,
  placeInArena,
  segmentBytes,
  sizeOf,
  TableSet,
  type KeyRuns,
  type KeySegment,
  type Segment,
  type SegmentSize,
  type SegmentTarget,
} from "./segment.ts";
import { Staging } from "./staging.ts";
import type {
  CloseAnswer,
  CommitAnswer,
  Committed,
  PartitionRole,
  PromiseAnswer,
  Received,
  StartAnswer,
  StepState,
} from "./step-state.ts";
import { Vocabulary } from "./vocabulary.ts";

export interface PartitionOptions {
  /** Which partition this is, of how many. */
  readonly partition: number;
  readonly partitions: number;
  readonly seed: number;
  readonly tables: readonly TableSpec[];
  readonly mode: Consistency;
  /** Where its rows live, and how much they may take. */
  readonly share: MemoryShare;
  /** "head" by default. */
  readonly role?: PartitionRole;
  readonly sabotages?: Sabotages;
}

export class Partition {
  /** The memory of its rows. Segments whose arrays are views of it are used where they are, without a copy. */
  readonly arena: Arena;
  readonly partition: number;
  readonly #parts: PartitionParts;
  readonly #mode: Consistency;
  readonly #step: PartitionStep;
  readonly #sabotages: Sabotages;
  /** Of the segment that is set or pushed directly. */
  readonly #direct: KeyRuns;
  /** While it takes a copy. */
  #copy: PartitionCopyTarget | undefined;

  constructor(o: PartitionOptions) {
    const { partition, partitions, seed, share, mode, role = "head", sabotages = NO_SABOTAGE } = o;
    const { arena } = share;
    const tables = new TableSet(o.tables);
    const vocabulary = new Vocabulary({ tables: o.tables, partition, partitions, sabotages });
    const rows = o.tables.map((spec, i) => new Rows(spec, { seed, share, care: vocabulary.cares[i]! }));
    const state: StepState = {
      role,
      promised: 0,
      committed: { step: 0, attempt: 0 },
      attempt: undefined,
      staged: false,
    };
    const room = new Room({ partition, tables: o.tables, rows, share, state });
    const [staging, identities] = [new Staging(tables, arena), new PushIdentities()];
    this.#parts = { partition, tables, arena, rows, vocabulary, identities, staging, room, state };
    this.#step = new PartitionStep(this.#parts, mode, sabotages);
    this.arena = arena;
    this.partition = partition;
    this.#mode = mode;
    this.#sabotages = sabotages;
    this.#direct = newRuns(tables);
  }

  get role(): PartitionRole {
    return this.#parts.state.role;
  }

  /** The head is lost or gave way: this replica goes on where it ended. */
  lead(): void {
    if (this.role === "head") return;
    this.#parts.state.role = "head";
    if (this.#sabotages.has("forget-identities-on-failover")) this.#parts.identities.clear();
  }

  /** Another replica is the head from now on. What slots sent for a step that was not staged is dropped. */
  follow(): void {
    if (this.role === "replica") return;
    this.#parts.state.role = "replica";
    this.#step.dropSlots();
  }

  /** The last step applied, and the attempt that carried it. Step 0 stands for the initial values. */
  get committed(): Committed {
    return this.#parts.state.committed;
  }

  /** The greatest term promised. */
  get promised(): number {
    return this.#parts.state.promised;
  }

  /** The attempt that step `committed.step + 1` is collecting, or undefined before the first start. */
  get attempt(): number | undefined {
    return this.#parts.state.attempt;
  }

  /** Is step `committed.step + 1` closed and summed, ready to commit? */
  get staged(): boolean {
    return this.#parts.state.staged;
  }

  /** Slots of the open step; 0 before the first start. */
  get slots(): number {
    return this.#parts.staging.slots;
  }

  /** Fences: refuses smaller terms from now on and tells what was committed. What is staged stays staged. */
  promise(term: number): PromiseAnswer {
    return this.#step.promise(term);
  }

  /**
   * Opens an attempt at the next step, for `slots` slots, and drops what an older attempt collected; promises its
   * term. The open attempt again changes nothing.
   *
   * @throws {RangeError} a number of slots that no step has, or another one for the open attempt
   */
  start(o: { step: number; attempt: number; slots: number; term: number }): StartAnswer {
    return this.#step.start(o);
  }

  /**
   * Takes the segment of a slot, or null when the slot has nothing for this partition; keeps a copy.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows that the step would create; PARTITION_UNAVAILABLE: rows
   *   of it cannot be read from disk; the slot is not in then
   */
  receive(o: Committed & { slot: number; segment: Segment | null }): Received {
    return this.#step.receive(o);
  }

  /** Is a slot of the open step in? */
  hasSlot(o: Committed & { slot: number }): boolean {
    return this.#step.hasSlot(o);
  }

  /**
   * Closes the open step: it is the sum of these slots, in their order, times `scale`; what others sent is dropped. One
   * that is closed stays as it is.
   *
   * @throws {RangeError} the sums are not finite; the step is open then, and these slots are in
   * @throws {ClusterError} as `receive`; the same then
   */
  close(o: Committed & { slots: readonly number[]; scale: number }): CloseAnswer {
    return this.#step.close(o);
  }

  /** Opens a step again that was closed, with the slots that it was the sum of: its close was refused elsewhere. */
  reopen(): void {
    this.#step.reopen();
  }

  /** Takes a slot back that is in but not committed, as if it had never come: its push was refused elsewhere. */
  withdraw(o: Committed & { slot: number }): void {
    this.#step.withdraw(o);
  }

  /** How much {@link writeStaged} writes. */
  stagedSize(): SegmentSize {
    return this.#step.stagedSize();
  }

  /** Copies the sums of the step that is staged: a count for each table of the job, in its order, keys, values. */
  writeStaged(into: SegmentTarget): void {
    this.#step.writeStaged(into);
  }

  /**
   * Takes a step as the head staged it, with the sums over its slots or null where it has none, in place of what was
   * staged before.
   *
   * @throws {RangeError} not the step that follows the committed one, or a bad segment; nothing has changed then
   * @throws {ClusterError} as `receive`; nothing has changed then
   */
  stage(o: Committed & { slots: number; segment: Segment | null }): void {
    this.#step.stage(o);
  }

  /**
   * Applies what is staged, once, and opens the next step in the same attempt.
   *
   * @param o.term that a head may refuse; a replica's head did not
   * @param o.records of the same step at the head of the chain, for a replica
   */
  commit(o: Committed & { term: number; records?: readonly VocabularyRecord[] }): CommitAnswer {
    return this.#step.commit(o, (sums) => this.#update(sums, { step: o.step, since: o.step - 1 }, o.records));
  }

  /** May a pull for `step`, which wants the state after step − 1, be answered now? */
  mayPull(step: number): boolean {
    return this.#mode.mayPull({ wanted: step, committed: this.#parts.state.committed.step });
  }

  /**
   * How many bytes {@link read} writes for these keys: `valueBytes(dtype, dim)` of row-layout.ts for each.
   *
   * @throws {RangeError} unknown table, or counts that do not fit their arrays
   */
  readBytes(segment: KeySegment, dtype: RowDtype): number {
    return bytesToRead(this.#parts.tables, segment, dtype);
  }

  /**
   * Writes the weights of the keys to an address of {@link arena} on, in their order, initial values where there is
   * no row. Changes nothing.
   *
   * @returns bytes written: `readBytes(segment, target.dtype)`; the caller has made room for them
   * @throws {RangeError} unknown table, or counts that do not fit their arrays
   */
  read(segment: KeySegment, target: ReadTarget): number {
    return readRows(this.#parts, segment, target);
  }

  /**
   * Checks a segment for {@link set} or {@link pushDirect}; a frame's segments are all checked before one is applied. A
   * replica makes room where its head had it: also among the rows of the step that is staged.
   *
   * @throws {RangeError} a bad segment, naming table and key
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows it would create; PARTITION_UNAVAILABLE: rows of it cannot
   *   be read from disk
   */
  check(segment: Segment): void {
    const { tables, room, staging, state } = this.#parts;
    const runs = this.#runsOf(segment);
    checkRuns(tables, runs, this.arena);
    if (state.role === "head" || !state.staged) return room.check(runs);
    room.release();
    try {
      room.check(runs);
    } finally {
      room.pledge(staging.sums);
    }
  }

  /**
   * Overwrites the weights of rows, which are then as if new with these weights. No part of a step; setting the
   * same again changes nothing.
   *
   * @param segment that {@link check} has let pass
   */
  set(segment: Segment): void {
    const { rows, state } = this.#parts;
    const { counts, keys, values } = this.#runsOf(segment);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]! > 0) rows[i]!.set(keys[i]!, counts[i]!, values[i]!, state.committed.step);
    }
  }

  /**
   * Was this direct push applied before?
   *
   * @throws {RangeError | ClusterError} an identity that no client may have
   */
  hasApplied(identity: PushIdentity): boolean {
    const isForgotten = identity.client === TRAINING_CLIENT && this.#sabotages.has("forget-batch-names");
    return this.#parts.identities.has(identity) && !isForgotten;
  }

  /**
   * Applies gradients at once. The same push again changes nothing. One of training counts as of the newest step that
   * any was of, so that steps never go back; others as of the newest committed one.
   *
   * @param segment that {@link check} has let pass, unless the push was applied before
   * @param records of the same push at the head of the chain, for a replica
   * @throws {RangeError | ClusterError} an identity that no client may have
   */
  pushDirect(push: DirectPush, segment: Segment, records?: readonly VocabularyRecord[]): "applied" | "duplicate" {
    const { identities, state } = this.#parts;
    if (this.hasApplied(push)) return "duplicate";
    const runs = this.#runsOf(segment);
    identities.add(push);
    const { step: since, attempt } = state.committed;
    const step = Math.max(since, stepOf(push));
    state.committed = { step, attempt };
    this.#update(runs, { step, since }, records);
    return "applied";
  }

  /**
   * Copies at least one and at most `rowsMax` rows of one table, for snapshots: start with cursor 0 and go on with
   * `next` until it is undefined.
   *
   * @throws {RangeError} unknown table
   */
  export({ table, cursor, rowsMax }: { table: number; cursor: number; rowsMax: number }): ExportedRows {
    const { rows, tables } = this.#parts;
    const place = tables.placeOf(table, table);
    return rows[place]!.export(cursor, Math.min(Math.max(1, rowsMax), LIMITS.exportRowsMax));
  }

  /**
   * What the last step, or the last direct push, did to the vocabularies of tables that admit or evict; a replica
   * follows these records.
   */
  get records(): readonly VocabularyRecord[] {
    return this.#parts.vocabulary.records;
  }

  /** The keys that lost their rows after a later step than `step`, for a checkpoint of what changed since then. */
  tombstonesSince(step: number): TombstonesAnswer {
    return this.#parts.vocabulary.tombstones.since(step);
  }

  /** No checkpoint will ask since a step before `step`. */
  forgetTombstones(step: number): void {
    this.#parts.vocabulary.tombstones.forget(step);
  }

  /** Begins a copy for a new replica, which is given what {@link PartitionCopy} says. */
  copyOut(): PartitionCopy {
    return new PartitionCopy(this.#parts);
  }

  /**
   * Takes the next part of a copy of another replica, as one that is new.
   *
   * @returns was it the last? Then all is here
   * @throws {ProtocolError} not the next part of a copy of this partition
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows. The partition is then half a copy, to be disposed of
   */
  takeCopy(bytes: Uint8Array): boolean {
    assert(this.role === "replica", "a head takes no copy");
    this.#copy ??= new PartitionCopyTarget(this.#parts);
    return this.#copy.take(bytes);
  }

  /**
   * What replicas have in common, as a text to compare: the last step, direct pushes, rows and counts of keys. Reads all
   * rows.
   */
  digest(): string {
    return digestOf(this.#parts);
  }

  /** Rows of one table, or of all. */
  rowCount(table?: number): number {
    const { rows, tables } = this.#parts;
    if (table !== undefined) return rows[tables.placeOf(table, table)]!.count;
    return rows.reduce((sum, { count }) => sum + count, 0);
  }

  /** Memory of rows, their index, counts of keys, and what is staged. */
  bytes(): number {
    const { rows, staging, vocabulary } = this.#parts;
    return rows.reduce((sum, each) => sum + each.bytes(), staging.bytes() + vocabulary.bytes());
  }

  /** Memory of rows beyond weights and optimizer state: headers, index, padding and room to spare. */
  bookkeepingBytes(): number {
    return this.#parts.rows.reduce((sum, rows) => sum + rows.bookkeepingBytes(), 0);
  }

  /** Gives back all memory; the partition must not be used afterwards. */
  dispose(): void {
    const { rows, staging, room } = this.#parts;
    room.release();
    staging.dispose();
    for (const each of rows) each.dispose();
  }

  /** Brings a segment into the arena if it is not there, and says where its tables are. */
  #runsOf(segment: Segment): KeyRuns {
    const { tables, arena } = this.#parts;
    const size = sizeOf(tables, segment);
    const place = placeInArena(arena, segment) ?? copySegment(arena, segment, size, arena.scratch(segmentBytes(size)));
    layOut(tables, segment, place, this.#direct);
    return this.#direct;
  }

  #update(runs: KeyRuns, time: Required<EvictionTime>, records: readonly VocabularyRecord[] | undefined): void {
    const { counts, keys, values } = runs;
    const { rows, vocabulary, state } = this.#parts;
    if (state.role === "replica") vocabulary.follow(records);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]! > 0) rows[i]!.update(keys[i]!, counts[i]!, values[i]!, time.step);
    }
    vocabulary.end(rows, time);
  }
}
