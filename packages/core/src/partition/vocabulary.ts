/**
 * The care of one partition's vocabularies: which keys of its tables get a row, and which rows go, decided step by step
 * by the head of its chain and followed by its replicas. What was decided leaves as records.
 *
 * Admission is decided while a step is applied, eviction after it, from step numbers and what the partition holds: no
 * order of arrival, memory layout or clock plays a part. Counts of keys that have no row are the head's alone; a
 * replica that takes its place counts from the beginning.
 */
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { CountedAdmission, FollowedAdmission } from "../table/admission.ts";
import { Eviction } from "../table/eviction.ts";
import type { Rows, RowsCare } from "../table/rows.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { Tombstones, type TombstonesAnswer, type VocabularyRecord } from "../table/vocabulary-record.ts";

/** "decides": as the head of a chain · "follows": as the records say, as a replica. */
export type VocabularyRole = "decides" | "follows";

export interface VocabularyOptions {
  readonly role: VocabularyRole;
  readonly tables: readonly TableSpec[];
  /** Which partition this is, of how many: tables' bounds are divided equally. */
  readonly partition: number;
  readonly partitions: number;
}

export class Vocabulary {
  /** What became of the tables in the last step, or the last direct push; those that nothing became of are left out. */
  records: readonly VocabularyRecord[] = [];
  /** In the order of the tables; what their rows are made with. */
  readonly cares: readonly RowsCare[];
  readonly #role: VocabularyRole;
  readonly #tables: readonly TableSpec[];
  /** Places of the tables that are cared for. */
  readonly #places: readonly number[];
  readonly #tombstones = new Tombstones({ max: LIMITS.tombstonesMax });

  constructor({ role, tables, partition, partitions }: VocabularyOptions) {
    this.#role = role;
    this.#tables = tables;
    this.cares = tables.map(({ admission, eviction }) => ({
      admission:
        admission && (role === "follows" ? new FollowedAdmission() : new CountedAdmission(admission, { partitions })),
      eviction: eviction && role === "decides" ? new Eviction(eviction, { partition, partitions }) : undefined,
    }));
    this.#places = tables.flatMap(({ admission, eviction }, place) => (admission || eviction ? [place] : []));
  }

  /** Before a step's updates. A replica is told what its head did in this step. */
  begin(records: readonly VocabularyRecord[] | undefined): void {
    if (this.#places.length === 0 || this.#role === "decides") return;
    assert(records, "a replica is given the records of each step");
    for (const place of this.#places) {
      const admission = this.cares[place]!.admission as FollowedAdmission | undefined;
      admission?.expect(recordOf(records, this.#tables[place]!)?.admitted ?? new Uint32Array(0));
    }
    this.records = records;
  }

  /**
   * After a step's updates: lets rows go.
   *
   * @param rows in the order of the tables
   */
  end(rows: readonly Rows[], step: number): void {
    if (this.#places.length === 0) return;
    const records: VocabularyRecord[] = [];
    for (const place of this.#places) {
      const admitted = rows[place]!.takeAdmitted();
      const evicted = this.#evict(rows[place]!, place, step);
      if (admitted.length + evicted.length > 0)
        records.push({ step, table: this.#tables[place]!.id, admitted, evicted });
    }
    for (const record of records) this.#tombstones.add(record);
    this.records = records;
  }

  tombstonesSince(step: number): TombstonesAnswer {
    return this.#tombstones.since(step);
  }

  forgetTombstones(step: number): void {
    this.#tombstones.forget(step);
  }

  /** Memory it takes. */
  bytes(): number {
    let bytes = this.#tombstones.bytes();
    for (const place of this.#places) bytes += this.cares[place]!.admission?.bytes() ?? 0;
    return bytes;
  }

  #evict(rows: Rows, place: number, step: number): Uint32Array<ArrayBuffer> {
    if (this.#role === "decides") return rows.evict(step);
    const evicted = recordOf(this.records, this.#tables[place]!)?.evicted ?? new Uint32Array(0);
    rows.deleteKeys(evicted);
    return evicted;
  }
}

function recordOf(records: readonly VocabularyRecord[], { id }: TableSpec): VocabularyRecord | undefined {
  return records.find(({ table }) => table === id);
}
