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
  #underWay = 0;
  #hasFailed = false;

  constructor(o: SimulatedStoreOptions) {
    this.#o = o;
  }

  /** Is nothing being saved, and did the newest save succeed? One that did not is tried again. */
  get isIdle(): boolean {
    return this.#underWay === 0 && !this.#hasFailed;
  }

  async load(): Promise<Map<string, unknown>> {
    this.#hasFailed = false; // whoever would have tried again is no more
    return new Map([...this.#records].map(([key, json]) => [key, JSON.parse(json) as unknown]));
  }

  save(records: ReadonlyMap<string, unknown>): Promise<void> {
    const { clock, random, delayMaxMs, full, onSaved } = this.#o;
    const written = [...records].map(([key, value]) => [key, JSON.stringify(value) as string | undefined] as const);
    this.#underWay++;
    return new Promise((resolve, reject) => {
      clock.after(random.between({ min: 0, max: delayMaxMs }), () => {
        const now = clock.now();
        this.#underWay--;
        this.#hasFailed = full.some(({ fromMs, toMs }) => now >= fromMs && now < toMs);
        if (this.#hasFailed) {
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
