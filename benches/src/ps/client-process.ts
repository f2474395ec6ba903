/**
 * A client of one of the compared systems, a process of its own. Its commands: `fill FROM TO` sets the rows of these
 * indexes to their contents of round 0, `pull` reads all batches, one after the other, `push ROUND` pushes what the
 * round has for all batches. Each is answered when the server has answered all of it.
 */
import type { Child } from "../processes/child.ts";

/** What a client moved. */
export interface Moved {
  seconds: number;
  rows: number;
  /** Of each batch that was pulled: see `rowSum` of workload.ts. */
  sums?: number[];
}

export class ClientProcess {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** @throws {Error} it ended before it was ready */
  static async ready(child: Child): Promise<ClientProcess> {
    await child.nextObject();
    return new ClientProcess(child);
  }

  fill(from: number, to: number): Promise<Moved> {
    return this.#child.ask(`fill ${from} ${to}`);
  }

  async pull(): Promise<Required<Moved>> {
    return this.#child.ask("pull");
  }

  push(round: number): Promise<Moved> {
    return this.#child.ask(`push ${round}`);
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}
