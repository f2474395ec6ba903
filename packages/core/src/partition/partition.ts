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
import type { Arena } from "../table/arena.ts";
import { valueBytes, type RowDtype } from "../table/row-layout.ts";
import type { ExportedRows } from "../table/exported-rows.ts";
import { Rows } from "../table/rows.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import type { TombstonesAnswer, VocabularyRecord } from "../table/vocabulary-record.ts";
import { PushIdentities, type PushIdentity } from "./push-identities.ts";
import { Room } from "./room.ts";
import {
  checkRuns,
  copyKeys,
  copySegment,
  keyCount,
  keysInArena,
  layOut,
  newRuns,
  placeInArena,
  segmentBytes,
  sizeOf,
  TableSet,
  type KeyRuns,
  type KeySegment,
  type Segment,
} from "./segment.ts";
import { Staging } from "./staging.ts";
import { Vocabulary, type VocabularyRole } from "./vocabulary.ts";

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
  /** Which partition this is, of how many. */
  readonly partition: number;
  readonly partitions: number;
  /** Version of its chain of replicas. */
  readonly generation: number;
  readonly seed: number;
  readonly tables: readonly TableSpec[];
  readonly mode: Consistency;
  /** Where its rows live, and how much they may take. */
  readonly share: MemoryShare;
  /** Which keys get a row and which rows go: "decides" by default, "follows" as a replica. */
  readonly vocabulary?: VocabularyRole;
}

interface UpdateOptions {
  readonly step: number;
  readonly records: readonly VocabularyRecord[] | undefined;
}

/** Where {@link Partition.read} writes, in the partition's {@link Partition.arena}, and as what. */
export interface ReadTarget {
  /** Address, a multiple of 4, or of 2 for bfloat16. */
  readonly at: number;
  readonly dtype: RowDtype;
}

export class Partition {
  /** The memory of its rows. Segments whose arrays are views of it are used where they are, without a copy. */
  readonly arena: Arena;
  readonly partition: number;
  readonly generation: number;
  readonly #mode: Consistency;
  readonly #tables: TableSet;
  /** In the order of the tables. */
  readonly #rows: readonly Rows[];
  readonly #staging: Staging;
  readonly #room: Room;
  readonly #vocabulary: Vocabulary;
  /** Of the segment that is set or pushed directly. */
  readonly #direct: KeyRuns;
  readonly #identities = new PushIdentities();
  #promised = 0;
  #committed: Committed = { step: 0, attempt: 0 };
  /** The attempt at step committed + 1, or undefined before the first start. */
  #attempt: number | undefined;
  #staged = false;

  constructor({ partition, partitions, generation, seed, tables, mode, share, vocabulary }: PartitionOptions) {
    this.arena = share.arena;
    this.partition = partition;
    this.generation = generation;
    this.#mode = mode;
    this.#tables = new TableSet(tables);
    this.#vocabulary = new Vocabulary({ role: vocabulary ?? "decides", tables, partition, partitions });
    this.#rows = tables.map((spec, i) => new Rows(spec, { seed, share, care: this.#vocabulary.cares[i]! }));
    this.#staging = new Staging(this.#tables, share.arena);
    this.#room = new Room({ partition, tables, rows: this.#rows, share });
    this.#direct = newRuns(this.#tables);
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
   * Takes the segment of a slot, or null when the slot has nothing for this partition; keeps a copy.
   *
   * @throws {RangeError} a bad segment, naming table and key; nothing has changed then
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows that the step would create; PARTITION_UNAVAILABLE: rows
   *   of it cannot be read from disk; the slot is not in then
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
    try {
      this.#staging.sum();
      this.#room.pledge(this.#staging.sums);
    } catch (error) {
      this.#staging.remove(slot);
      throw error;
    }
    this.#staged = true;
    return "staged";
  }

  /** Takes a slot back that is in but not committed, as if it had never come: its push was refused elsewhere. */
  withdraw({ step, attempt, slot }: Committed & { slot: number }): void {
    if (step !== this.#committed.step + 1 || attempt !== this.#attempt || !this.#staging.has(slot)) return;
    if (this.#staged) this.#room.release();
    this.#staged = false;
    this.#staging.remove(slot);
  }

  /**
   * Applies what is staged, once, and opens the next step in the same attempt.
   *
   * @param o.records of the same step at the head of the chain, for a replica
   */
  commit({
    step,
    attempt,
    term,
    records,
  }: Committed & { term: number; records?: readonly VocabularyRecord[] }): CommitAnswer {
    if (term < this.#promised) return "refused";
    const { committed } = this;
    if (step < committed.step || (step === committed.step && attempt === committed.attempt)) return "already";
    if (step !== committed.step + 1 || attempt !== this.#attempt || !this.#staged) return "refused";
    this.#room.release(); // what it held is now taken for what it was held for
    this.#update(this.#staging.sums, { step, records });
    this.#committed = { step, attempt };
    this.#open(attempt, this.#staging.slots);
    return "committed";
  }

  /** May a pull for `step`, which wants the state after step − 1, be answered now? */
  mayPull(step: number): boolean {
    return this.#mode.mayPull({ wanted: step, committed: this.#committed.step });
  }

  /**
   * How many bytes {@link read} writes for these keys: `valueBytes(dtype, dim)` of row-layout.ts for each.
   *
   * @throws {RangeError} unknown table, or counts that do not fit their arrays
   */
  readBytes(segment: KeySegment, dtype: RowDtype): number {
    keyCount(segment);
    let bytes = 0;
    for (let t = 0; t < segment.tables.length; t++) {
      const { dim } = this.#tables.specs[this.#tables.placeOf(segment.tables[t]!, t)]!;
      bytes += segment.counts[segment.countsAt + t]! * valueBytes(dtype, dim);
    }
    return bytes;
  }

  /**
   * Writes the weights of the keys to an address of {@link arena} on, in their order, initial values where there is
   * no row. Changes nothing.
   *
   * @returns bytes written: `readBytes(segment, target.dtype)`; the caller has made room for them
   * @throws {RangeError} unknown table, or counts that do not fit their arrays
   */
  read(segment: KeySegment, { at: out, dtype }: ReadTarget): number {
    const n = keyCount(segment);
    let keys = keysInArena(this.arena, segment);
    if (keys === undefined) copyKeys(this.arena, segment, n, (keys = this.arena.scratch(8 * n)));
    const { tables, counts, countsAt } = segment;
    let at = out;
    for (let t = 0; t < tables.length; t++) {
      const count = counts[countsAt + t]!;
      const rows = this.#rows[this.#tables.placeOf(tables[t]!, t)]!;
      if (count === 0) continue;
      rows.read(keys, count, { at, dtype });
      keys += 8 * count;
      at += count * valueBytes(dtype, rows.dim);
    }
    return at - out;
  }

  /**
   * Checks a segment for {@link set} or {@link pushDirect}; a frame's segments are all checked before one is applied.
   *
   * @throws {RangeError} a bad segment, naming table and key
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows it would create; PARTITION_UNAVAILABLE: rows of it cannot
   *   be read from disk
   */
  check(segment: Segment): void {
    const runs = this.#runsOf(segment);
    checkRuns(this.#tables, runs, this.arena);
    this.#room.check(runs);
  }

  /**
   * Overwrites the weights of rows, which are then as if new with these weights. No part of a step; setting the
   * same again changes nothing.
   *
   * @param segment that {@link check} has let pass
   */
  set(segment: Segment): void {
    const { counts, keys, values } = this.#runsOf(segment);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]! > 0) this.#rows[i]!.set(keys[i]!, counts[i]!, values[i]!, this.#committed.step);
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
   * @param segment that {@link check} has let pass, unless the push was applied before
   * @param records of the same push at the head of the chain, for a replica
   * @throws {RangeError | ClusterError} an identity that no client may have
   */
  pushDirect(identity: PushIdentity, segment: Segment, records?: readonly VocabularyRecord[]): "applied" | "duplicate" {
    if (this.#identities.has(identity)) return "duplicate";
    const runs = this.#runsOf(segment);
    this.#identities.add(identity);
    this.#update(runs, { step: this.#committed.step, records });
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

  /**
   * What the last step, or the last direct push, did to the vocabularies of tables that admit or evict; a replica
   * follows these records.
   */
  get records(): readonly VocabularyRecord[] {
    return this.#vocabulary.records;
  }

  /** The keys that lost their rows after a later step than `step`, for a checkpoint of what changed since then. */
  tombstonesSince(step: number): TombstonesAnswer {
    return this.#vocabulary.tombstonesSince(step);
  }

  /** No checkpoint will ask since a step before `step`. */
  forgetTombstones(step: number): void {
    this.#vocabulary.forgetTombstones(step);
  }

  /** Rows of one table, or of all. */
  rowCount(table?: number): number {
    if (table !== undefined) return this.#rows[this.#tables.placeOf(table, table)]!.count;
    return this.#rows.reduce((sum, rows) => sum + rows.count, 0);
  }

  /** Memory of rows, their index, counts of keys, and what is staged. */
  bytes(): number {
    return this.#rows.reduce((sum, rows) => sum + rows.bytes(), this.#staging.bytes() + this.#vocabulary.bytes());
  }

  /** Memory of rows beyond weights and optimizer state: headers, index, padding and room to spare. */
  bookkeepingBytes(): number {
    return this.#rows.reduce((sum, rows) => sum + rows.bookkeepingBytes(), 0);
  }

  /** Gives back all memory; the partition must not be used afterwards. */
  dispose(): void {
    this.#room.release();
    this.#staging.dispose();
    for (const rows of this.#rows) rows.dispose();
  }

  /** Brings a segment into the arena if it is not there, and says where its tables are. */
  #runsOf(segment: Segment): KeyRuns {
    const size = sizeOf(this.#tables, segment);
    const place =
      placeInArena(this.arena, segment) ??
      copySegment(this.arena, segment, size, this.arena.scratch(segmentBytes(size)));
    layOut(this.#tables, segment, place, this.#direct);
    return this.#direct;
  }

  #open(attempt: number, slots: number): void {
    this.#attempt = attempt;
    this.#staged = false;
    this.#room.release();
    this.#staging.open(slots);
  }

  #update({ counts, keys, values }: KeyRuns, { step, records }: UpdateOptions): void {
    this.#vocabulary.begin(records);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]! > 0) this.#rows[i]!.update(keys[i]!, counts[i]!, values[i]!, step);
    }
    this.#vocabulary.end(this.#rows, step);
  }
}
