/** What the head of a chain did to its partition, as records for those behind it. */
import type { TableSpec, VocabularyRecord } from "@volary/core/table";
import type { Frame } from "@volary/core/wire";
import { caringTables } from "./applied-records.ts";
import { CHECK_RECORD, joinedWords, plainRecord, type RecordBody, type RecordHead } from "./chain-record.ts";
import type { Replica } from "./replica.ts";
import { RecordMemory } from "./record-memory.ts";
import type { Replication } from "./replication.ts";

const NO_WORDS = new Uint32Array(0);
const NO_VALUES = new Float32Array(0);

/** Where the keys and values of one segment lie in those of its frame. */
export interface SegmentPlace {
  readonly replica: Replica;
  /** Shape [T]. */
  readonly counts: Uint32Array;
  /** In keys, and in floats. */
  readonly keysAt: number;
  readonly keys: number;
  readonly valuesAt: number;
  readonly values: number;
}

export class HeadRecords {
  readonly #replication: Replication;
  /** Ids of all tables, in the job's order. */
  readonly #tables: Uint32Array;
  readonly #caring: readonly TableSpec[];
  /** Each caring table twice. */
  readonly #vocabularyTables: Uint32Array;
  readonly #memory = new RecordMemory();

  constructor(replication: Replication, tables: readonly TableSpec[]) {
    this.#replication = replication;
    this.#tables = Uint32Array.from(tables, ({ id }) => id);
    this.#caring = caringTables(tables);
    this.#vocabularyTables = Uint32Array.from(this.#caring.flatMap(({ id }) => [id, id]));
  }

  /** Their steps were staged: the sums go on. */
  staged(replicas: readonly Replica[], at: { step: number; attempt: number; slots: number }): void {
    const head: RecordHead = { opcode: "stageRecord", fields: at, tables: this.#tables };
    const T = this.#tables.length;
    const sent = replicas.filter(isSent);
    const sizes = sent.map(({ partition }) => partition.stagedSize());
    const counts = new Uint32Array(T * sent.length);
    const keys = new Uint32Array(2 * sizes.reduce((sum, { pairs }) => sum + pairs, 0));
    const values = new Float32Array(sizes.reduce((sum, { floats }) => sum + floats, 0));
    let keysAt = 0;
    let valuesAt = 0;
    const bodies = new Map<Replica, RecordBody>();
    for (const [i, replica] of sent.entries()) {
      const { pairs, floats } = sizes[i]!;
      const countsAt = i * T;
      replica.partition.writeStaged({ counts, countsAt, keys, keysAt, values, valuesAt });
      bodies.set(replica, {
        head,
        counts: counts.subarray(countsAt, countsAt + T),
        keys: keys.subarray(2 * keysAt, 2 * (keysAt + pairs)),
        values: values.subarray(valuesAt, valuesAt + floats),
      });
      keysAt += pairs;
      valuesAt += floats;
    }
    for (const replica of replicas) this.#replication.append(replica, bodies.get(replica) ?? CHECK_RECORD);
  }

  /** Their steps were committed. */
  committed(replicas: readonly Replica[], at: { step: number; attempt: number; term: number }): void {
    const head: RecordHead = { opcode: "commitRecord", fields: at, tables: this.#vocabularyTables };
    for (const replica of replicas) {
      const vocabulary = this.#vocabularyOf(replica);
      const body = { head, counts: vocabulary.counts, keys: joined(vocabulary.keys), values: NO_VALUES };
      this.#replication.append(replica, isSent(replica) ? body : CHECK_RECORD);
    }
  }

  promised(replicas: readonly Replica[], term: number): void {
    const body = plainRecord({ opcode: "promiseRecord", fields: { term } });
    for (const replica of replicas) this.#replication.append(replica, body);
  }

  /** Segments of a `set` that were applied. */
  set(frame: Frame, from: { keys: Uint32Array; values: Float32Array }, places: readonly SegmentPlace[]): void {
    this.#requests({ opcode: "setRecord", fields: {}, tables: frame.tables.slice() }, from, places);
  }

  /** Segments of a direct push that were applied. */
  pushed(frame: Frame, from: { keys: Uint32Array; values: Float32Array }, places: readonly SegmentPlace[]): void {
    const { term, attempt, step, slots, cursor, tables } = frame;
    const fields = { term, attempt, step, slots, cursor, table: tables.length };
    const all = joinedWords([tables, this.#vocabularyTables]);
    this.#requests({ opcode: "pushRecord", fields, tables: all.slice() }, from, places);
  }

  #requests(
    head: RecordHead,
    from: { keys: Uint32Array; values: Float32Array },
    places: readonly SegmentPlace[],
  ): void {
    const lease = places.some(({ replica }) => isSent(replica)) ? this.#memory.lease(from) : undefined;
    const counts = lease && countsOf(places);
    for (const [i, place] of places.entries()) {
      const { replica } = place;
      if (!lease || !isSent(replica)) {
        this.#replication.append(replica, CHECK_RECORD);
        continue;
      }
      const own = lease.keys.subarray(2 * place.keysAt, 2 * (place.keysAt + place.keys));
      const vocabulary = head.opcode === "pushRecord" ? this.#vocabularyOf(replica) : { counts: NO_WORDS, keys: [] };
      this.#replication.append(replica, {
        head,
        counts: vocabulary.counts.length === 0 ? counts![i]! : joinedWords([counts![i]!, vocabulary.counts]),
        keys: vocabulary.keys.length === 0 ? own : joinedWords([own, ...vocabulary.keys]),
        values: lease.values.subarray(place.valuesAt, place.valuesAt + place.values),
        lease: lease.hold(),
      });
    }
  }

  /** What the last change of a partition did to its vocabularies, table by table. */
  #vocabularyOf({ partition }: Replica): { counts: Uint32Array; keys: Uint32Array[] } {
    if (this.#caring.length === 0) return { counts: NO_WORDS, keys: [] };
    const records: readonly VocabularyRecord[] = partition.records;
    const keys = this.#caring.flatMap(({ id }) => {
      const record = records.find(({ table }) => table === id);
      return [record?.admitted ?? NO_WORDS, record?.evicted ?? NO_WORDS];
    });
    return { counts: Uint32Array.from(keys, (each) => each.length / 2), keys };
  }
}

/** The counts of each place, side by side in one array. */
function countsOf(places: readonly SegmentPlace[]): Uint32Array[] {
  const T = places[0]!.counts.length;
  const all = new Uint32Array(T * places.length);
  return places.map(({ counts }, i) => {
    all.set(counts, i * T);
    return all.subarray(i * T, (i + 1) * T);
  });
}

function isSent({ follower }: Replica): boolean {
  return follower?.isSent ?? false;
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  return parts.length === 0 ? NO_WORDS : joinedWords(parts);
}
