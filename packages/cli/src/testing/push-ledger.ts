/** Pushes ones to a table of sums, over and over, and keeps count of what was acknowledged, key by key. */
import type { PlainTable } from "@volary/core/client";

const KEYS = 512;
/** Pushes under way at a time, each of keys of its own. */
const LANES = 4;

export class PushLedger {
  readonly #table: PlainTable;
  readonly #acknowledged = new Float32Array(KEYS);
  #lanes: Promise<unknown> = Promise.resolve();
  #pushes = 0;
  #isOn = true;
  /** Called when one more push was acknowledged, or one failed. */
  #onPush: () => void = () => {};
  #failure: Error | undefined;

  /** Begins to push. */
  constructor(table: PlainTable) {
    this.#table = table;
    this.#lanes = Promise.all(Array.from({ length: LANES }, (_, lane) => this.#run(lane)));
  }

  /**
   * Resolves when so many more pushes were acknowledged.
   *
   * @throws what a push failed with
   */
  async more(pushes: number): Promise<void> {
    const target = this.#pushes + pushes;
    while (this.#pushes < target) {
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => (this.#onPush = resolve));
    }
  }

  /**
   * Ends pushing, and compares the table with what was acknowledged.
   *
   * @returns pushes that are missing in rows, and those that are in them more than once
   * @throws what a push failed with: whether it counts is not known then
   */
  async end(): Promise<{ lost: number; doubled: number; pushed: number }> {
    this.#isOn = false;
    await this.#lanes;
    if (this.#failure) throw this.#failure;
    const sums = await this.#table.pull(Array.from({ length: KEYS }, (_, key) => key));
    let [lost, doubled] = [0, 0];
    sums.forEach((sum, key) => {
      lost += Math.max(0, this.#acknowledged[key]! - sum);
      doubled += Math.max(0, sum - this.#acknowledged[key]!);
    });
    return { lost, doubled, pushed: this.#pushes };
  }

  async #run(lane: number): Promise<void> {
    const keys = Array.from({ length: KEYS / LANES }, (_, i) => i * LANES + lane);
    const ones = keys.map(() => 1);
    try {
      while (this.#isOn) {
        await this.#table.push(keys, ones);
        for (const key of keys) this.#acknowledged[key]!++;
        this.#pushes++;
        this.#onPush();
      }
    } catch (error) {
      this.#isOn = false;
      this.#failure = error as Error;
      this.#onPush();
    }
  }
}
