/**
 * The coordinator's store on a slow disk that is full at times. It outlives the coordinator: what was saved before a
 * crash is there afterwards, and a save that was under way happened wholly or not at all.
 */
import type { SeededRandom } from "@volary/core/testing";
import type { Clock } from "@volary/core/wire";
import type { CoordinatorStore } from "@volary/ps-server";

export interface SimulatedStoreOptions {
  /** The network's: a disk goes on while processes do not. */
  clock: Clock;
  random: SeededRandom;
  /** A save takes at most this long. */
  delayMaxMs: number;
  /** Saves fail between these times. */
  full: readonly { fromMs: number; toMs: number }[];
  /** Is told of each record that was saved. */
  onSaved?: (key: string, value: unknown) => void;
}

export class SimulatedStore implements CoordinatorStore {
  readonly #o: SimulatedStoreOptions;
  /** As JSON: a record is no object that its owner still holds. */
  readonly #records = new Map<string, string>();
  failed = 0;

  constructor(o: SimulatedStoreOptions) {
    this.#o = o;
  }

  async load(): Promise<Map<string, unknown>> {
    return new Map([...this.#records].map(([key, json]) => [key, JSON.parse(json) as unknown]));
  }

  save(records: ReadonlyMap<string, unknown>): Promise<void> {
    const { clock, random, delayMaxMs, full, onSaved } = this.#o;
    const written = [...records].map(([key, value]) => [key, JSON.stringify(value) as string | undefined] as const);
    return new Promise((resolve, reject) => {
      clock.after(random.between({ min: 0, max: delayMaxMs }), () => {
        const now = clock.now();
        if (full.some(({ fromMs, toMs }) => now >= fromMs && now < toMs)) {
          this.failed++;
          reject(new Error("no space left on the simulated disk"));
          return;
        }
        for (const [key, json] of written) {
          if (json === undefined) this.#records.delete(key);
          else this.#records.set(key, json);
        }
        for (const [key, json] of written) if (json !== undefined) onSaved?.(key, JSON.parse(json));
        resolve();
      });
    });
  }

  async close(): Promise<void> {}
}
