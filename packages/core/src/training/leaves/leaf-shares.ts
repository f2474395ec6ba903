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
  /** Of the reducer's own part. */
  #msPerSample = 0;

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
   * The volunteers' parts of a step, in their order; what is left is the reducer's, at least an eighth: what it computes
   * itself is what the others are judged by.
   */
  plan<T extends { readonly pace: LeafPace }>(samples: number, leaves: readonly T[]): ShareOf<T>[] {
    const stepMs = this.expectedMs(samples);
    const patienceMs = (stepMs * LIMITS.leafSlowdownMax) / leaves.length;
    const shares: ShareOf<T>[] = [];
    let left = samples - Math.ceil(samples / 8);
    for (const leaf of leaves) {
      leaf.pace.earn(patienceMs);
      const { samples: wanted, usualMs = 0 } = leaf.pace;
      const waitMs = usualMs - stepMs;
      if (left < LIMITS.leafSamplesMin || (waitMs > stepMs / 4 && waitMs > leaf.pace.patienceMs)) continue;
      const share = sizeAtMost(Math.min(wanted, left));
      shares.push({ leaf, samples: share });
      left -= share;
    }
    return shares;
  }
}
