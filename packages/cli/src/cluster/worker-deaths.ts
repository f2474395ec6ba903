/** Counts the workers of a local cluster that died, for whoever listens. */
import type { Death } from "./local-cluster.ts";

export class WorkerDeaths {
  readonly #listeners = new Set<(deadWorkers: number) => void>();
  #workers = 0;

  /** How many have died so far. */
  get workers(): number {
    return this.#workers;
  }

  add({ role }: Death): void {
    if (role !== "worker") return;
    this.#workers++;
    for (const listener of this.#listeners) listener(this.#workers);
  }

  /** Tells at once what has happened so far; the returned function ends the listening. */
  listen(listener: (deadWorkers: number) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#workers);
    return () => this.#listeners.delete(listener);
  }
}
