/**
 * Which keys of one table have a row, by the words of its spec: counted and aged per partition on plain Maps, and
 * sorted where PS nodes select. It shares no code with them but the function from a key to its partition.
 */
import type { TableSpec } from "@volary/core/table";

/** What makes a row young or old. */
export interface RowAge {
  updates: number;
  lastStep: number;
}

export interface VocabularyOracleOptions {
  spec: TableSpec;
  partitions: number;
  partitionOf: (key: bigint) => number;
}

export class VocabularyOracle {
  readonly #o: VocabularyOracleOptions;
  /** Per partition, how often keys without a row were pushed. */
  readonly #counts = new Map<number, Map<bigint, number>>();

  constructor(o: VocabularyOracleOptions) {
    this.#o = o;
  }

  /** Is this push of a key without a row the one that makes it? Keys of one step come ascending. */
  admits(key: bigint): boolean {
    const { spec, partitions, partitionOf } = this.#o;
    if (spec.admission === undefined) return true;
    const { updates, counter } = spec.admission;
    if (counter.kind !== "exact") throw new Error("the oracle counts exactly");
    const partition = partitionOf(key);
    let counts = this.#counts.get(partition) ?? new Map<bigint, number>();
    const room = Math.ceil(counter.keysMax / partitions);
    if (!counts.has(key) && counts.size === room) {
      counts = new Map([...counts].filter(([, n]) => n > 0));
      while (4 * counts.size > 3 * room)
        counts = new Map([...counts].map(([k, n]) => [k, n >> 1] as const).filter(([, n]) => n > 0));
    }
    const seen = (counts.get(key) ?? 0) + 1;
    counts.set(key, seen < updates ? seen : 0);
    this.#counts.set(partition, counts);
    return seen >= updates;
  }

  /** The keys whose rows go after a step. */
  evicts(rows: ReadonlyMap<bigint, RowAge>, step: number): bigint[] {
    const { spec, partitions, partitionOf } = this.#o;
    if (spec.eviction === undefined) return [];
    const { expireSteps = Infinity, rowsMax = Infinity, order } = spec.eviction;
    const round = Math.max(1, Math.floor(Math.min(expireSteps, 2 ** 40) / 16));
    const share = Math.ceil(rowsMax / partitions);
    const byAge = (a: [bigint, RowAge], b: [bigint, RowAge]): number => {
      const [recent, frequent] = [a[1].lastStep - b[1].lastStep, a[1].updates - b[1].updates];
      return (order === "least-recent" ? recent || frequent : frequent || recent) || (a[0] < b[0] ? -1 : 1);
    };
    const gone: bigint[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const mine = [...rows].filter(([key]) => partitionOf(key) === partition).toSorted(byAge);
      const isRound = (step + partition) % round === 0;
      const kept = mine.filter(([, row]) => !isRound || row.lastStep > step - expireSteps);
      const stays = new Set(kept.length > share ? kept.slice(-Math.ceil((15 / 16) * share)) : kept);
      gone.push(...mine.filter((each) => !stays.has(each)).map(([key]) => key));
    }
    return gone;
  }
}
