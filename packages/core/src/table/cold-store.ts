/**
 * Where the rows lie that memory has no room for: records of one size under numbers, their places. A file in a PS
 * node, plain memory in simulations. All of it is synchronous: a pull waits for the rows it asks for anyway.
 */
export interface ColdStore {
  readonly recordBytes: number;
  /**
   * Copies the records of `n` places, in any order, to `into` from `at` on, one after the other.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE: what was stored cannot be read any more
   */
  read(places: Uint32Array, n: number, into: Uint8Array, at: number): void;
  /**
   * Stores `n` records, which lie one after the other from the start of `from` on, at ascending places. A place may be
   * new; those up to the greatest one so far then exist.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: they cannot be stored, a full disk for one; what the places held may be gone
   */
  write(places: Uint32Array, n: number, from: Uint8Array): void;
  /** Forgets everything; the store is not used again. */
  close(): void;
}

/** Opens a store for the rows of one table in one partition. */
export type OpenColdStore = (recordBytes: number) => ColdStore;

/** A store in plain memory, for tests and simulations. */
export class MemoryColdStore implements ColdStore {
  readonly recordBytes: number;
  readonly #records = new Map<number, Uint8Array>();

  constructor(recordBytes: number) {
    this.recordBytes = recordBytes;
  }

  read(places: Uint32Array, n: number, into: Uint8Array, at: number): void {
    for (let i = 0; i < n; i++) into.set(this.#records.get(places[i]!)!, at + i * this.recordBytes);
  }

  write(places: Uint32Array, n: number, from: Uint8Array): void {
    const size = this.recordBytes;
    for (let i = 0; i < n; i++) this.#records.set(places[i]!, from.slice(i * size, (i + 1) * size));
  }

  close(): void {
    this.#records.clear();
  }
}
