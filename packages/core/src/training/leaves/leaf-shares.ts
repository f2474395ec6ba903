/**
 * Which volunteers take part in a step, and with how many samples. Those that answer before the reducer is through with
 * its own part always do. Those that would hold the step up do now and then: with each step patience with every volunteer
 * grows by an equal part of a fixed share of its time, and waiting uses it up. So training as a whole becomes slower by no
 * more than that share, and still everyone counts.
 */
import { LIMITS } from "../../limits.ts";
import { sizeAtMost, type LeafPace } from "./leaf-pace.ts";

export interface ShareOf<T> {
  readonly leaf: T;
  readonly samples: number;
}

export class LeafShares {
  readonly #samplesMax: number;
  /** Of the reducer's own part. */
  #msPerSample = 0;

  /** @param rowFloats of a sample: a task's rows fill a quarter of a frame at most */
  constructor({ rowFloats }: { rowFloats: number }) {
    this.#samplesMax = LIMITS.leafFrameBytesMax / 4 / (4 * rowFloats);
  }

  /** What the reducer takes for so many samples alone; 0 before it has computed any. */
  expectedMs(samples: number): number {
    return this.#msPerSample * samples;
  }

  /** The reducer's own part has taken so long. */
  noteOwn(samples: number, ms: number): void {
    if (samples === 0) return;
    const perSample = ms / samples;
    this.#msPerSample = this.#msPerSample === 0 ? perSample : 0.9 * this.#msPerSample + 0.1 * perSample;
  }

  /**
   * The volunteers' parts of a step. What is left is the reducer's, at least an eighth: what it computes itself is what the
   * others are judged by. Where there is not enough for all, those that can take little get it, the others equal parts.
   */
  plan<T extends { readonly pace: LeafPace }>(samples: number, leaves: readonly T[]): ShareOf<T>[] {
    const stepMs = this.expectedMs(samples);
    for (const { pace } of leaves) pace.earn((stepMs * LIMITS.leafSlowdownMax) / leaves.length);
    const willing = leaves
      .filter(({ pace }) => !holdsUp(pace, stepMs))
      .toSorted((a, b) => a.pace.samples - b.pace.samples);
    const shares: ShareOf<T>[] = [];
    let left = samples - Math.ceil(samples / 8);
    for (const [i, leaf] of willing.entries()) {
      const equal = left / (willing.length - i);
      // Where even the least parts are too many, who comes first gets one.
      const share = sizeAtMost(Math.min(leaf.pace.samples, equal, this.#samplesMax));
      if (share > left) break;
      shares.push({ leaf, samples: share });
      left -= share;
    }
    return shares;
  }
}

/** Would the step have to wait for this volunteer longer than there is patience for, or is that used up? */
function holdsUp({ usualMs = 0, patienceMs }: LeafPace, stepMs: number): boolean {
  const waitMs = usualMs - stepMs;
  return patienceMs < 0 || (waitMs > stepMs / 4 && waitMs > patienceMs);
}
