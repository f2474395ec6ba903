/**
 * Whether the rows that a push would create still fit into a partition's share of the memory. It is asked before
 * anything is applied: at a step's close, or as a frame comes; a commit is never refused.
 *
 * A step that is staged pledges what it may need, so that another job of the same share cannot take it. At first all
 * keys count as new; they are looked up only where that would be too much.
 */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Rows } from "../table/rows.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import type { KeyRuns } from "./segment.ts";

export interface RoomOptions {
  readonly partition: number;
  readonly tables: readonly TableSpec[];
  /** In the order of the tables. */
  readonly rows: readonly Rows[];
  readonly share: MemoryShare;
}

/** What the new rows of one table would take. */
interface Shortage {
  readonly table: number;
  readonly absent: number;
  readonly bytes: number;
}

export class Room {
  readonly #o: RoomOptions;
  #pledged = 0;

  constructor(o: RoomOptions) {
    this.#o = o;
  }

  /** @throws {ClusterError} LIMIT_EXCEEDED: there is no room for the new ones of these keys */
  check(runs: KeyRuns): void {
    this.#need(runs);
  }

  /**
   * Keeps room for the new ones of these keys, until `release`.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: there is none
   */
  pledge(runs: KeyRuns): void {
    const bytes = this.#need(runs);
    this.#o.share.pledged += bytes;
    this.#pledged += bytes;
  }

  /** Takes back what was pledged. */
  release(): void {
    this.#o.share.pledged -= this.#pledged;
    this.#pledged = 0;
  }

  /** How many bytes the rows may grow by. */
  #need(runs: KeyRuns): number {
    const { rows } = this.#o;
    let bytes = 0;
    for (let i = 0; i < rows.length; i++) bytes += rows[i]!.growthBytes(runs.counts[i]!);
    return this.#fits(bytes) ? bytes : this.#needOfAbsent(runs);
  }

  /** The same once more with the absent keys alone, and after room was made, where tables can. */
  #needOfAbsent({ counts, keys }: KeyRuns): number {
    const { rows } = this.#o;
    for (let round = 1; ; round++) {
      let bytes = 0;
      let most: Shortage = { table: 0, absent: 0, bytes: 0 };
      for (let i = 0; i < rows.length; i++) {
        const absent = counts[i] === 0 ? 0 : rows[i]!.countAbsent(keys[i]!, counts[i]!);
        const growth = rows[i]!.growthBytes(absent);
        bytes += growth;
        if (growth > most.bytes) most = { table: i, absent, bytes: growth };
      }
      if (this.#fits(bytes)) return bytes;
      if (round > LIMITS.roomRoundsMax) throw this.#full(most, bytes);
      if (rows[most.table]!.makeRoom(most.absent) > 0) continue;
      if (this.#largest().giveBack(bytes) === 0) throw this.#full(most, bytes);
    }
  }

  #largest(): Rows {
    return this.#o.rows.reduce((largest, rows) => (rows.bytes() > largest.bytes() ? rows : largest));
  }

  #fits(bytes: number): boolean {
    const { share } = this.#o;
    return bytes === 0 || share.bytes + share.pledged + bytes <= share.bytesMax;
  }

  #full({ table, absent }: Shortage, bytes: number): ClusterError {
    const { partition, tables, share } = this.#o;
    if (share.counts) share.counts.pushesRefused++;
    return new ClusterError(
      "LIMIT_EXCEEDED",
      `no room for ${absent} new rows of table "${tables[table]!.name}" in partition ${partition}: its rows take ${share.bytes + share.pledged} of ${share.bytesMax} bytes, and would need ${bytes} more; give the PS node more memory (--memory-max), let the table drop rows (eviction), or keep cold ones on disk (--spill)`,
    );
  }
}
