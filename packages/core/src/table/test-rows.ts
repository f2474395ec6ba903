/** Rows for tests, which give keys and values as arrays, and where their memory is. */
import { Rows, type RowsCare } from "./rows.ts";
import { TableMemory, type MemoryShare } from "./table-memory.ts";
import type { TableSpec } from "./table-spec.ts";

/** One memory for all tests of a file. */
let memory: TableMemory | undefined;

/** A new share of the memory that the tests of a file have in common. */
export function testShare({ bytesMax = 2 ** 30 }: { bytesMax?: number } = {}): MemoryShare {
  memory ??= new TableMemory({ arenaBytes: 2 ** 28, bytesMax: 2 ** 27 });
  const { arena } = memory.shareOf(0, { partitions: 1, places: 1 });
  return { arena, bytesMax, bytes: 0, pledged: 0 };
}

/** Rows whose keys and values are arrays outside of the arena. */
export class ArrayRows extends Rows {
  readonly share: MemoryShare;

  constructor(spec: TableSpec, seed: number, share = testShare(), care: RowsCare = {}) {
    super(spec, { seed, share, care });
    this.share = share;
  }

  /** Weights of keys `from` to `to` (pair numbers) to `out` from `outAt` on. */
  readArrays(keys: Uint32Array, from: number, to: number, out: Float32Array, outAt: number): void {
    const n = to - from;
    const { arena } = this.share;
    const { keysAt, valuesAt } = this.#place(keys, from, n);
    this.read(keysAt, n, { at: valuesAt, dtype: "float32" });
    out.set(arena.floats.subarray(valuesAt / 4, valuesAt / 4 + n * this.dim), outAt);
  }

  updateArrays(keys: Uint32Array, from: number, to: number, grads: Float32Array, gradsAt: number, step: number): void {
    const { keysAt, valuesAt } = this.#place(keys, from, to - from, grads, gradsAt);
    this.update(keysAt, to - from, valuesAt, step);
  }

  setArrays(keys: Uint32Array, from: number, to: number, values: Float32Array, valuesAt: number, step: number): void {
    const place = this.#place(keys, from, to - from, values, valuesAt);
    this.set(place.keysAt, to - from, place.valuesAt, step);
  }

  deleteArrays(keys: Uint32Array): void {
    this.delete(this.#place(keys, 0, keys.length / 2).keysAt, keys.length / 2);
  }

  #place(keys: Uint32Array, from: number, n: number, values?: Float32Array, valuesFrom = 0) {
    const { arena } = this.share;
    const keysAt = arena.scratch(8 * n + 4 * n * this.dim);
    const valuesAt = keysAt + 8 * n;
    arena.words.set(keys.subarray(2 * from, 2 * (from + n)), keysAt / 4);
    if (values) arena.floats.set(values.subarray(valuesFrom, valuesFrom + n * this.dim), valuesAt / 4);
    return { keysAt, valuesAt };
  }
}
