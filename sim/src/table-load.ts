/**
 * One client of the plain tables: it pushes, sets and reads at times that were drawn beforehand, whether or not what it
 * asked before is answered, and writes down what it did and was told.
 */
import type { TableClient } from "@volary/core/client";
import { assert, ClusterError } from "@volary/core/errors";
import type { SeededRandom } from "@volary/core/testing";
import type { Clock } from "@volary/core/wire";
import type { Ledger, Operation } from "./ledger.ts";
import { PLAIN, plainKey, type PlainName } from "./plain-tables.ts";
import { rowsOf } from "./training-run.ts";

export interface LoadOptions {
  client: string;
  /** From 0. */
  number: number;
  ledger: Ledger;
  clock: Clock;
  random: SeededRandom;
  operations: number;
  /** They begin within this time. */
  forMs: number;
  /** How many keys of each table clients share: few are hot. */
  sharedKeys: number;
  /** So often it reads a whole table meanwhile. */
  exports: number;
  /** May PS nodes have no memory for a push? */
  mayBeFull: boolean;
}

const KEYS_MAX = 6;
const OWN_KEYS = 5;
/** Numbers of keys that one push of `once` may have, of one client, and of all of a table. */
const CLIENT_NUMBERS = 100_000;

/** Which operation comes next, by weight. */
const MIX: readonly (readonly [number, "get" | "own" | Exclude<PlainName, "own">])[] = [
  [30, "once"],
  [16, "counts"],
  [6, "peaks"],
  [6, "weights"],
  [14, "own"],
  [6, "late"],
  [6, "few"],
  [24, "get"],
];

export class TableLoad {
  readonly #o: LoadOptions;
  /** What must not have happened at all: errors that no fault of the cluster explains. */
  readonly faults: string[] = [];
  /** Requests that were given up after all retries. */
  late = 0;
  #pushedOnce: bigint[] = [];
  #numbers = 0;
  /** Operations on own keys, one after the other. */
  #own: Promise<void> = Promise.resolve();
  readonly #ownRetired = new Set<bigint>();
  #opened: TableClient | undefined;

  constructor(o: LoadOptions) {
    this.#o = o;
  }

  /** Its tables, once it runs. */
  get tables(): TableClient {
    assert(this.#opened, "a load runs on tables");
    return this.#opened;
  }

  /** Resolves once everything was answered. */
  async run(tables: TableClient): Promise<void> {
    this.#opened = tables;
    const { random, operations, forMs, exports } = this.#o;
    const all = Array.from({ length: operations }, () =>
      this.#at(random.between({ min: 0, max: forMs }), () => this.#next()),
    );
    for (let n = 1; n <= exports; n++) all.push(this.#at((forMs * n) / (exports + 1), () => this.#export()));
    await Promise.all(all);
  }

  #at(ms: number, run: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => void this.#o.clock.after(ms, () => resolve(run())));
  }

  #next(): Promise<void> {
    const kind = this.#draw();
    if (kind === "get") return this.#get();
    if (kind === "own") return (this.#own = this.#own.then(() => this.#nextOwn()));
    return this.#push(kind);
  }

  #draw(): (typeof MIX)[number][1] {
    let at = this.#o.random.below(MIX.reduce((sum, [weight]) => sum + weight, 0));
    return MIX.find(([weight]) => (at -= weight) < 0)![1];
  }

  #push(table: Exclude<PlainName, "own">): Promise<void> {
    const { random } = this.#o;
    const keys = table === "once" ? this.#freshKeys() : this.#sharedKeys(table);
    if (table === "once") this.#pushedOnce.push(...keys);
    const spec = PLAIN[table];
    const isWhole = spec.optimizer.kind === "sum" || spec.optimizer.kind === "count";
    const values = Float32Array.from({ length: keys.length * spec.dim }, () => (isWhole ? 1 : random.below(64) - 32));
    const operation = this.#begin({ kind: "push", table, keys, values });
    const gradients = spec.optimizer.kind === "count" ? {} : { gradients: values };
    return this.#settle(operation, this.tables.push({ table: spec, keys, ...gradients }));
  }

  #get(): Promise<void> {
    const { random } = this.#o;
    const table = (["once", "counts", "counts", "peaks"] as const)[random.below(4)]!;
    const from = Math.max(0, this.#pushedOnce.length - 2 * KEYS_MAX);
    const keys = table === "once" ? this.#pushedOnce.slice(from).slice(0, KEYS_MAX) : this.#sharedKeys(table);
    if (keys.length === 0) return Promise.resolve();
    const relaxed = random.below(5) === 0;
    const operation = this.#begin({ kind: "get", table, keys, values: new Float32Array(0), relaxed });
    const spec = PLAIN[table];
    return this.#settle(operation, this.tables.get({ table: spec, keys, ...(relaxed && { staleness: 1_000_000 }) }));
  }

  /** Reads all of `once`: what was acknowledged before is in it. */
  #export(): Promise<void> {
    const pushed = this.#o.ledger.of("push", "once").filter(({ outcome }) => outcome === "done");
    const keys = pushed.flatMap((push) => push.keys);
    const operation = this.#begin({ kind: "get", table: "once", keys, values: new Float32Array(0) });
    const valuesOf = async (): Promise<Float32Array> => {
      const rows = await rowsOf(this.tables, PLAIN.once);
      return Float32Array.from(keys, (key) => rows.get(key)?.[0] ?? 0);
    };
    return this.#settle(operation, valuesOf());
  }

  /** A push, a set or a read of keys that no other client touches. */
  #nextOwn(): Promise<void> {
    const { random, number } = this.#o;
    const first = 50_000 + number * OWN_KEYS;
    const keys = distinct(random, { count: 1 + random.below(3), below: OWN_KEYS })
      .map((n) => plainKey(first + n))
      .filter((key) => !this.#ownRetired.has(key));
    if (keys.length === 0) return Promise.resolve();
    const table = PLAIN.own;
    const kind = (["push", "push", "push", "set", "get", "get"] as const)[random.below(6)]!;
    const floats = kind === "get" ? 0 : keys.length * table.dim;
    const values = Float32Array.from({ length: floats }, () => random.between({ min: -1, max: 1 }));
    const operation = this.#begin({ kind, table: "own", keys, values });
    switch (kind) {
      case "get":
        return this.#settle(operation, this.tables.get({ table, keys }));
      case "set":
        return this.#settle(operation, this.tables.set({ table, keys, values }));
      default:
        return this.#settle(operation, this.tables.push({ table, keys, gradients: values }));
    }
  }

  #begin(of: Pick<Operation, "kind" | "table" | "keys" | "values"> & { relaxed?: boolean }): Operation {
    return this.#o.ledger.begin({ client: this.#o.client, ...of });
  }

  async #settle(operation: Operation, answer: Promise<Float32Array | void>): Promise<void> {
    const { ledger } = this.#o;
    try {
      const values = await answer;
      if (values) operation.values = values;
      ledger.end(operation, "done");
    } catch (error) {
      ledger.end(operation, "failed");
      if (operation.table === "own") for (const key of operation.keys) this.#ownRetired.add(key);
      const passes = error instanceof ClusterError && error.retryable;
      const isFull = error instanceof ClusterError && error.code === "LIMIT_EXCEEDED" && this.#o.mayBeFull;
      if (passes) this.late++;
      else if (!isFull) this.faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  #freshKeys(): bigint[] {
    const { random, number } = this.#o;
    const first = (number + 1) * CLIENT_NUMBERS + this.#numbers;
    const count = 1 + random.below(KEYS_MAX);
    this.#numbers += count;
    return Array.from({ length: count }, (_, i) => plainKey(first + i));
  }

  #sharedKeys(table: PlainName): bigint[] {
    const { random, sharedKeys } = this.#o;
    const count = 1 + random.below(Math.min(KEYS_MAX, sharedKeys));
    return distinct(random, { count, below: sharedKeys }).map((n) => plainKey(1000 * PLAIN[table].id + n));
  }
}

/** So many different numbers, the lower ones more often. */
function distinct(random: SeededRandom, { count, below }: { count: number; below: number }): number[] {
  const numbers = new Set<number>();
  while (numbers.size < count) numbers.add(Math.floor(below * random.next() ** 2));
  return [...numbers];
}
