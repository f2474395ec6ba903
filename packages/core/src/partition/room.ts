/**
 * Whether the rows that a push would create still fit into a partition's share of the memory. It is asked before
 * anything is applied: at a step's close, or as a frame comes; a commit is never refused. Then, too, rows that the push
 * touches are fetched from disk, so that what may fail has been done before a step is acknowledged.
 *
 * A step that is staged pledges what it may need, so that another job of the same share cannot take it, and holds as
 * much of the arena, which staged steps and replies under way take from, too. At first all keys count as new; they are
 * looked up only where that would be too much.
 *
 * A replica takes a little more than its share before it refuses what its head took: the same rows do not take the same
 * memory everywhere.
 */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Arena } from "../table/arena.ts";
import type { Rows } from "../table/rows.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import type { KeyRuns } from "./segment.ts";
import type { StepState } from "./step-state.ts";

export interface RoomOptions {
  readonly partition: number;
  readonly tables: readonly TableSpec[];
  /** In the order of the tables. */
  readonly rows: readonly Rows[];
  readonly share: MemoryShare;
  /** Of the partition. */
  readonly state: Pick<StepState, "role">;
}

/** What the new rows of one table would take. */
interface Shortage {
  readonly table: number;
  readonly absent: number;
  readonly bytes: number;
}

/** Memory of the arena. */
interface Span {
  readonly at: number;
  readonly bytes: number;
}

const NO_SPAN: Span = { at: 0, bytes: 0 };
/** What a replica takes of its share at most. */
const REPLICA_MAX = 17 / 16;

export class Room {
  readonly #o: RoomOptions;
  readonly #arena: Arena;
  #pledged = 0;
  /** Of the arena; no bytes where there is none. */
  #held = NO_SPAN;
  /** Is a step staged? What it touches must stay in memory then. */
  #isKept = false;

  constructor(o: RoomOptions) {
    this.#o = o;
    this.#arena = o.share.arena;
  }

  /**
   * Makes sure of the rows of these keys.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: there is no room for the new ones; PARTITION_UNAVAILABLE: those on disk cannot be
   *   read
   */
  check(runs: KeyRuns): void {
    this.#need(runs);
    this.#fetch(runs);
    const span = this.#hold(runs);
    if (span.bytes > 0) this.#arena.free(span.at, span.bytes);
  }

  /**
   * {@link check}, and keeps room for the new ones, until `release`.
   *
   * @throws {ClusterError} as `check`
   */
  pledge(runs: KeyRuns): void {
    let bytes = this.#need(runs);
    if (this.#fetch(runs) > 0) bytes = this.#growth(runs).bytes; // what was fetched is not pledged once more
    this.#held = this.#hold(runs);
    this.#o.share.pledged += bytes;
    this.#pledged += bytes;
    this.#isKept = true;
  }

  /** Takes back what was pledged. */
  release(): void {
    this.#o.share.pledged -= this.#pledged;
    this.#pledged = 0;
    if (this.#held.bytes > 0) this.#arena.free(this.#held.at, this.#held.bytes);
    this.#held = NO_SPAN;
    this.#isKept = false;
  }

  /** Brings the rows of these keys into memory; returns how many were on disk. */
  #fetch({ counts, keys }: KeyRuns): number {
    const { rows } = this.#o;
    let fetched = 0;
    for (let i = 0; i < rows.length; i++) if (counts[i]! > 0) fetched += rows[i]!.fetch(keys[i]!, counts[i]!);
    return fetched;
  }

  /** Takes memory in one piece that the new ones of these keys will find enough. */
  #hold({ counts, keys }: KeyRuns): Span {
    const { partition, rows, share } = this.#o;
    const arena = this.#arena;
    let bytes = 0;
    for (let i = 0; i < rows.length; i++) bytes += rows[i]!.growthSpan(counts[i]!);
    if (bytes === 0) return NO_SPAN;
    let at = arena.hold(bytes);
    if (at !== 0) return { at, bytes };
    bytes = 0;
    for (let i = 0; i < rows.length; i++) {
      if (counts[i]! > 0) bytes += rows[i]!.growthSpan(rows[i]!.countAbsent(keys[i]!, counts[i]!));
    }
    if (bytes === 0) return NO_SPAN;
    at = arena.hold(bytes);
    if (at !== 0) return { at, bytes };
    if (share.counts) share.counts.pushesRefused++;
    throw new ClusterError(
      "LIMIT_EXCEEDED",
      `no room for new rows of partition ${partition}: they need ${bytes} bytes in a row, and staged steps and replies that were not read yet have taken what is left of the memory; give the PS node more (--memory-max), or start more PS nodes`,
    );
  }

  /** How many bytes the rows may grow by. */
  #need(runs: KeyRuns): number {
    const { rows } = this.#o;
    let bytes = 0;
    for (let i = 0; i < rows.length; i++) bytes += rows[i]!.growthBytes(runs.counts[i]!);
    return this.#fits(bytes) ? bytes : this.#needOfAbsent(runs);
  }

  /** The same once more with the absent keys alone, and after room was made, where tables can. */
  #needOfAbsent(runs: KeyRuns): number {
    const { rows } = this.#o;
    for (let round = 1; ; round++) {
      const { bytes, most } = this.#growth(runs);
      if (this.#fits(bytes)) return bytes;
      if (this.#isKept || round > LIMITS.roomRoundsMax) throw this.#full(most, bytes);
      if (rows[most.table]!.makeRoom(most.absent) > 0) continue;
      if (!this.#giveBack(bytes)) throw this.#full(most, bytes);
    }
  }

  /** What the absent ones of these keys take, and the table that takes most of it. */
  #growth({ counts, keys }: KeyRuns): { bytes: number; most: Shortage } {
    const { rows } = this.#o;
    let bytes = 0;
    let most: Shortage = { table: 0, absent: 0, bytes: 0 };
    for (let i = 0; i < rows.length; i++) {
      const absent = counts[i] === 0 ? 0 : rows[i]!.countAbsent(keys[i]!, counts[i]!);
      const growth = rows[i]!.growthBytes(absent);
      bytes += growth;
      if (growth > most.bytes) most = { table: i, absent, bytes: growth };
    }
    return { bytes, most };
  }

  /** Does a table give memory back? The largest that can. */
  #giveBack(bytes: number): boolean {
    return this.#o.rows.toSorted((a, b) => b.bytes() - a.bytes()).some((rows) => rows.giveBack(bytes) > 0);
  }

  #fits(bytes: number): boolean {
    const { share, state } = this.#o;
    const bytesMax = state.role === "head" ? share.bytesMax : REPLICA_MAX * share.bytesMax;
    return bytes === 0 || share.bytes + share.pledged + bytes <= bytesMax;
  }

  #full({ table, absent }: Shortage, bytes: number): ClusterError {
    const { partition, tables, rows, share } = this.#o;
    if (share.counts) share.counts.pushesRefused++;
    const own = rows.reduce((sum, each) => sum + each.bytes(), this.#pledged);
    const others = share.bytes + share.pledged - own;
    const taken = others > 0 ? `${own}, those of other jobs ${others},` : `${own}`;
    return new ClusterError(
      "LIMIT_EXCEEDED",
      `no room for ${absent} new rows of table "${tables[table]!.name}" in partition ${partition}: its rows take ${taken} of ${share.bytesMax} bytes, and would need ${bytes} more; give the PS node more memory (--memory-max), let the table drop rows (eviction), or keep cold ones on disk (--spill)`,
    );
  }
}
