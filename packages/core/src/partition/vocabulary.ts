/**
 * The care of one partition's vocabularies: which keys of its tables get a row, and which rows go, decided step by step
 * by the head of its chain and followed by its replicas. What was decided leaves as records.
 *
 * Admission is decided while a step is applied, eviction after it, from step numbers and what the partition holds: no
 * order of arrival, memory layout or clock plays a part. A replica does what the records say, and counts the pushes
 * that its head counts, so that it can decide in its place.
 */
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { NO_SABOTAGE, type Sabotages } from "../sabotage.ts";
import { Admission } from "../table/admission.ts";
import { Eviction, type EvictionTime } from "../table/eviction.ts";
import type { Rows, RowsCare } from "../table/rows.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { Tombstones, type VocabularyRecord } from "../table/vocabulary-record.ts";

export interface VocabularyOptions {
  readonly tables: readonly TableSpec[];
  /** Which partition this is, of how many: tables' bounds are divided equally. */
  readonly partition: number;
  readonly partitions: number;
  readonly sabotages?: Sabotages;
}

export class Vocabulary {
  /** What became of the tables in the last step, or the last direct push; those that nothing became of are left out. */
  records: readonly VocabularyRecord[] = [];
  /** In the order of the tables; what their rows are made with. */
  readonly cares: readonly RowsCare[];
  /** Of the head, for the changes to come; undefined where this partition decides. */
  #orders: readonly VocabularyRecord[] | undefined;
  readonly #tables: readonly TableSpec[];
  /** Places of the tables that are cared for. */
  readonly #places: readonly number[];
  /** For checkpoints. */
  readonly tombstones = new Tombstones({ max: LIMITS.tombstonesMax });
  readonly #sabotages: Sabotages;

  constructor({ tables, partition, partitions, sabotages = NO_SABOTAGE }: VocabularyOptions) {
    this.#tables = tables;
    this.#sabotages = sabotages;
    this.cares = tables.map(({ admission, eviction }) => ({
      admission: admission && new Admission(admission, { partitions }),
      eviction: eviction && new Eviction(eviction, { partition, partitions }),
    }));
    this.#places = tables.flatMap(({ admission, eviction }, place) => (admission || eviction ? [place] : []));
  }

  /** Before the updates of a replica: what its head did in them. */
  follow(records: readonly VocabularyRecord[] | undefined): void {
    if (this.#places.length === 0) return;
    assert(records, "a replica is given the records of each step");
    for (const place of this.#places)
      this.cares[place]!.admission?.expect(recordOf(records, this.#tables[place]!)?.admitted);
    this.#orders = records;
  }

  /**
   * After the updates of a step or a direct push: lets rows go.
   *
   * @param rows in the order of the tables
   */
  end(rows: readonly Rows[], { step, since }: Required<EvictionTime>): void {
    if (this.#places.length === 0) return;
    const orders = this.#orders;
    this.#orders = undefined;
    const records: VocabularyRecord[] = [];
    for (const place of this.#places) {
      const admitted = rows[place]!.takeAdmitted();
      const evicted = orders ? this.#evictAs(orders, rows[place]!, place) : rows[place]!.evict({ step, since });
      if (admitted.length + evicted.length > 0)
        records.push({ step, table: this.#tables[place]!.id, admitted, evicted });
    }
    for (const record of records) this.tombstones.add(record);
    this.records = records;
  }

  /** Memory it takes. */
  bytes(): number {
    let bytes = this.tombstones.bytes();
    for (const place of this.#places) bytes += this.cares[place]!.admission?.bytes() ?? 0;
    return bytes;
  }

  #evictAs(orders: readonly VocabularyRecord[], rows: Rows, place: number): Uint32Array<ArrayBuffer> {
    const evicted = recordOf(orders, this.#tables[place]!)?.evicted ?? new Uint32Array(0);
    rows.deleteKeys(this.#sabotages.has("evict-on-replica-alone") ? evicted.subarray(2) : evicted);
    return evicted;
  }
}

function recordOf(records: readonly VocabularyRecord[], { id }: TableSpec): VocabularyRecord | undefined {
  return records.find(({ table }) => table === id);
}
