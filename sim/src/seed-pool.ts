/** Seeds on several threads. Each result depends on its seed alone, and they come in the order that they were asked for. */
import { Worker } from "node:worker_threads";
import type { Sabotage } from "@volary/core/sabotage";
import type { SeedResult } from "./seed-result.ts";

export interface SeedRequest {
  seed: number;
  sabotage?: Sabotage | undefined;
}

interface Thread {
  worker: Worker;
  resolve: (result: SeedResult) => void;
  reject: (error: Error) => void;
}

export class SeedPool {
  readonly #idle: Thread[] = [];
  readonly #all: Thread[] = [];
  readonly #waiting: ((thread: Thread) => void)[] = [];

  /** @param script what each thread runs */
  constructor(threads: number, script = new URL("./seed-thread.ts", import.meta.url)) {
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(script);
      const thread: Thread = { worker, resolve: () => {}, reject: () => {} };
      worker.on("message", (result: SeedResult) => thread.resolve(result));
      worker.on("error", (error: Error) => thread.reject(error));
      this.#all.push(thread);
      this.#idle.push(thread);
    }
  }

  get threads(): number {
    return this.#all.length;
  }

  /** @throws {Error} the thread broke: no fault of a cluster does that */
  async run(request: SeedRequest): Promise<SeedResult> {
    const thread = this.#idle.pop() ?? (await new Promise<Thread>((resolve) => this.#waiting.push(resolve)));
    try {
      return await new Promise<SeedResult>((resolve, reject) => {
        thread.resolve = resolve;
        thread.reject = reject;
        thread.worker.postMessage(request);
      });
    } finally {
      const next = this.#waiting.shift();
      if (next) next(thread);
      else this.#idle.push(thread);
    }
  }

  /** Results of consecutive seeds, in order; a few are worked on ahead. */
  async *runAll(o: { first: number; count: number; sabotage?: Sabotage | undefined }): AsyncGenerator<SeedResult> {
    const { first, count, sabotage } = o;
    const ahead: Promise<SeedResult>[] = [];
    let next = first;
    for (let seed = first; seed < first + count; seed++) {
      while (next < first + count && next < seed + 2 * this.threads) {
        const result = this.run({ seed: next++, sabotage });
        result.catch(() => {}); // it is thrown where it is awaited
        ahead.push(result);
      }
      yield await ahead.shift()!;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map(({ worker }) => worker.terminate()));
  }
}
