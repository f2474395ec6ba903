/**
 * Where the coordinator keeps what must outlive it. One small interface, so that an embedded database serves one
 * process and etcd serves many; every implementation passes `store.contract.ts`.
 */

export interface CoordinatorStore {
  /** All records, by key. */
  load(): Promise<Map<string, unknown>>;
  /** Makes the records durable, all or none, before it resolves. `undefined` deletes a key. */
  save(records: ReadonlyMap<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

/** Keeps records in memory, for tests, the simulation and throw-away clusters. */
export function memoryStore(): CoordinatorStore {
  const records = new Map<string, string>();
  return {
    load: async () => new Map([...records].map(([key, json]) => [key, JSON.parse(json) as unknown])),
    save: async (changes) => {
      for (const [key, value] of changes) {
        if (value === undefined) records.delete(key);
        else records.set(key, JSON.stringify(value));
      }
    },
    close: async () => {},
  };
}
