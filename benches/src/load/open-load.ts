/** The open load of `load-client.ts`, seen from the bench that runs it. */
import path from "node:path";
import { nodeChild, type Child } from "../processes/child.ts";
import type { Timeline } from "./timeline.ts";

export interface LoadRequest {
  coordinator: string;
  pushesPerSecond: number;
  pullsPerSecond: number;
  /** Rows of 8 floats that are set before and pulled from then on; enough for each partition to have one. */
  rows: number;
  /** What is wrong on purpose in a control: an acknowledged push was not sent, another one twice. */
  fault?: "miscounts" | undefined;
}

export interface LoadOutcome {
  pushes: Timeline;
  pulls: Timeline;
  /** Acknowledged pushes that are missing in rows, and pushes that are in rows more than once, over all rows. */
  lost: number;
  doubled: number;
  /** Pushes that were given up, so that nobody knows whether they count. */
  unresolved: number;
  failedPulls: number;
  /** Had every row that was pulled its value? */
  isIntact: boolean;
}

export class OpenLoad {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Resolves when rows are set and requests are being sent. */
  static async start(request: LoadRequest): Promise<OpenLoad> {
    const file = path.join(import.meta.dirname, "load-client.ts");
    const child = nodeChild({ name: "the open load", file, args: [JSON.stringify(request)] });
    await child.nextObject();
    return new OpenLoad(child);
  }

  /** Sends no more, waits for every answer, and compares what was counted with the rows. */
  async end(): Promise<LoadOutcome> {
    const outcome = await this.#child.ask<LoadOutcome>("end");
    await this.#child.stop();
    return outcome;
  }

  /** Ends it wherever it is. */
  kill(): void {
    this.#child.kill();
  }
}
