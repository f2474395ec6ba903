/**
 * Records as frames bring them: where each segment's keys and values lie, and what it does to a replica. In a frame
 * of pushes or commits the tables that care for their vocabulary come last, each twice: the keys that got a row, and
 * those that lost theirs.
 */
import { ProtocolError } from "@volary/core/errors";
import type { DirectPush, Segment } from "@volary/core/partition";
import type { TableSpec, VocabularyRecord } from "@volary/core/table";
import type { Frame, RecordOpcode } from "@volary/core/wire";
import type { RecordBody, RecordHead } from "./chain-record.ts";
import type { Replica } from "./replica.ts";

/** Tables that admit or evict keys, in the job's order. */
export function caringTables(tables: readonly TableSpec[]): TableSpec[] {
  return tables.filter(({ admission, eviction }) => admission !== undefined || eviction !== undefined);
}

export class RecordSegments {
  readonly #frame: Frame;
  readonly #opcode: RecordOpcode;
  readonly #caring: readonly TableSpec[];
  /** Tables whose keys have values. */
  readonly #valued: number;
  /** Keys and floats before each segment, shape [S + 1]. */
  readonly #keysAt: Uint32Array;
  readonly #valuesAt: Uint32Array;
  /** Shared by the records that are passed on; made when the first one is. */
  #copy: { head: RecordHead; keys: Uint32Array; values: Float32Array; counts: Uint32Array } | undefined;

  /** @throws {ProtocolError} sections that do not fit each other, or a table that the job has not */
  constructor(f: Frame, o: { dims: ReadonlyMap<number, number>; caring: readonly TableSpec[] }) {
    const S = f.partitions.length;
    const T = f.tables.length;
    this.#frame = f;
    this.#opcode = f.opcode as RecordOpcode;
    this.#caring = o.caring;
    this.#valued = f.opcode === "commitRecord" ? 0 : f.opcode === "pushRecord" ? f.table : T;
    if (f.sequences.length !== S) throw new ProtocolError(`a ${f.opcode} frame has no sequence numbers`);
    const caring = f.opcode === "commitRecord" || f.opcode === "pushRecord" ? 2 * o.caring.length : 0;
    if (this.#valued + caring !== T)
      throw new ProtocolError(`a ${f.opcode} frame has ${T} tables, ${this.#valued + caring} were expected`);
    const dims = Array.from(f.tables, (table) => {
      const dim = o.dims.get(table);
      if (dim === undefined) throw new ProtocolError(`a ${f.opcode} frame of job ${f.job} names table ${table}`);
      return dim;
    });
    this.#keysAt = new Uint32Array(S + 1);
    this.#valuesAt = new Uint32Array(S + 1);
    let keys = 0;
    let values = 0;
    for (let s = 0; s < S; s++) {
      for (let t = 0; t < T; t++) {
        const n = f.counts[s * T + t]!;
        keys += n;
        if (t < this.#valued) values += n * dims[t]!;
      }
      this.#keysAt[s + 1] = keys;
      this.#valuesAt[s + 1] = values;
    }
    if (keys * 2 !== f.keys.length || values !== f.values.length)
      throw new ProtocolError(
        `a ${f.opcode} frame has ${f.keys.length / 2} keys and ${f.values.length} values where its counts say ${keys} and ${values}`,
      );
  }

  keysOf(s: number): number {
    return this.#keysAt[s + 1]! - this.#keysAt[s]!;
  }

  /**
   * Does to a replica what segment `s` says.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: no room for it
   * @throws {RangeError} the replica is not where its head is
   */
  apply(s: number, { partition }: Replica): void {
    const { step, attempt, slots, term } = this.#frame;
    switch (this.#opcode) {
      case "stageRecord":
        partition.stage({ step, attempt, slots, segment: this.#segment(s) });
        break;
      case "commitRecord": {
        const answer = partition.commit({ step, attempt, term, records: this.#vocabulary(s) });
        if (answer !== "committed") {
          const at = `${partition.committed.step}/${partition.committed.attempt}, ${partition.attempt} is open`;
          throw new RangeError(`a commit of step ${step}/${attempt} where ${at}: the replica is not where its head is`);
        }
        break;
      }
      case "promiseRecord":
        partition.promise(term);
        break;
      case "setRecord": {
        const segment = this.#segment(s);
        partition.check(segment);
        partition.set(segment);
        break;
      }
      case "pushRecord": {
        const push = directPushOf(this.#frame);
        const segment = this.#segment(s);
        if (partition.hasApplied(push)) break;
        partition.check(segment);
        partition.pushDirect(push, segment, this.#vocabulary(s));
        break;
      }
      case "checkRecord":
        break;
      default:
        this.#opcode satisfies never;
    }
  }

  /** Segment `s` as a record to pass on. */
  bodyOf(s: number): RecordBody {
    const f = this.#frame;
    const T = f.tables.length;
    this.#copy ??= {
      head: {
        opcode: this.#opcode,
        fields: { step: f.step, attempt: f.attempt, term: f.term, slots: f.slots, cursor: f.cursor, table: f.table },
        tables: f.tables.slice(),
      },
      keys: f.keys.slice(),
      values: f.values.slice(),
      counts: f.counts.slice(),
    };
    const { head, keys, values, counts } = this.#copy;
    return {
      head,
      counts: counts.subarray(s * T, (s + 1) * T),
      keys: keys.subarray(2 * this.#keysAt[s]!, 2 * this.#keysAt[s + 1]!),
      values: values.subarray(this.#valuesAt[s], this.#valuesAt[s + 1]),
    };
  }

  #segment(s: number): Segment {
    const { tables, counts, keys, values } = this.#frame;
    const T = tables.length;
    return {
      tables: tables.subarray(0, this.#valued),
      counts,
      countsAt: s * T,
      keys,
      keysAt: this.#keysAt[s]!,
      values,
      valuesAt: this.#valuesAt[s]!,
    };
  }

  #vocabulary(s: number): VocabularyRecord[] {
    const { tables, counts, keys, step } = this.#frame;
    const T = tables.length;
    let at = this.#keysAt[s]!;
    for (let t = 0; t < this.#valued; t++) at += counts[s * T + t]!;
    const take = (t: number): Uint32Array<ArrayBuffer> => {
      const from = at;
      at += counts[s * T + t]!;
      return new Uint32Array(keys.subarray(2 * from, 2 * at));
    };
    return this.#caring.map(({ id }, i) => {
      const admitted = take(this.#valued + 2 * i);
      const evicted = take(this.#valued + 2 * i + 1);
      return { step, table: id, admitted, evicted };
    });
  }
}

/** Who pushes what, of a direct push. @throws {RangeError} a number that no client has */
export function directPushOf({ term, attempt, step, slots, cursor }: Frame): DirectPush {
  const client = attempt * 0x1_0000_0000 + term;
  if (!Number.isSafeInteger(client)) throw new RangeError(`a client's number is below 2^53; this push has ${client}`);
  return { client, sequence: step, settled: cursor, slots };
}
