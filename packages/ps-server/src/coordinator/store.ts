/**
 * Where the coordinator keeps what must outlive it. One small interface, so that an embedded database serves one
 * process and etcd serves many; every implementation passes `store.contract.ts`.
 */

export interface CoordinatorStore {
  /** All records, by key. */
  load(): Promise<Map<string, unknown>>;
  /** Makes the records durable, all or none, before it resolves. `undefined` deletes a key. */
  save(records: ReadonlyMap<string, unknown>): Promise<void>;
  /** May be called again. */
  close(): Promise<void>;
}

/** Keeps records in memory, for tests, the simulation and throw-away clusters. */
export function memoryStore(): CoordinatorStore {
  const records = new Map<string, string>();
  return {
    load: async () => new Map(Array.from(records, ([key, json]) => [key, JSON.parse(json) as unknown])),
    save: async (changes) => {
      const jsons = Array.from(changes, ([key, value]) => [key, jsonOf(value)] as const);
      for (const [key, json] of jsons) {
        if (json === undefined) records.delete(key);
        else records.set(key, json);
      }
    },
    close: async () => {},
  };
}

/** A record as stored: `undefined` for one that is deleted. */
export function jsonOf(value: unknown): string | undefined {
  return JSON.stringify(value);
}
