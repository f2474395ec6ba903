/**
 * The area under the ROC curve from counts of positives and negatives in bins of the score: bounded memory for any
 * number of samples. A float32's bits, sign flipped, ascend with its value, so their upper 23 are the bin. Samples in
 * one bin count as tied, by half.
 *
 * With p and n positives and negatives in a bin, P and N in all, the error is at most ½ Σ p·n / (P·N): half the
 * chance that a random pair shares a bin. Spread-out scores share bins of width 2⁻¹⁴ relatively, which measures as
 * 1e-6 or less; a model that gives all samples one score gets ½, exactly.
 *
 * Weights add up in float64. They merge to the same bits in any order while they are multiples of some 2^−q and a bin's
 * sum stays below 2^(53 − q): counts always, float32 weights from 0.01 up to 8 million of them.
 */
import { z } from "zod";
import { ascendingBits, bitsOf, RocArea } from "./roc-area.ts";
import { targetAt, type ScoredBatch } from "./scored-batch.ts";

const weightSum = z.number().nonnegative();

export const aucStateSchema = z.strictObject({
  /** Bins that hold samples, ascending; the other two arrays are parallel to it. */
  bins: z.array(z.number().int().nonnegative()),
  negatives: z.array(weightSum),
  positives: z.array(weightSum),
});
export type AucState = z.infer<typeof aucStateSchema>;

/** Bits of a float32's mantissa that its bin keeps: scores within 2⁻¹⁴ of each other, relatively, may share one. */
const MANTISSA_BITS = 14;
const BIN_SHIFT = 23 - MANTISSA_BITS;
/** Bins of one sign and exponent. */
const OCTAVE = 2 ** MANTISSA_BITS;
const BINS = 512 * OCTAVE;

export class AucHistogram {
  /** Octave → weights; negatives of bin i at 2i, positives at 2i + 1. Most octaves of the 512 never occur. */
  readonly #octaves = new Map<number, Float64Array>();

  update(batch: ScoredBatch): void {
    const { samples, outputs, weight } = batch;
    const bits = bitsOf(batch.scores);
    for (let b = 0; b < samples; b++) {
      const w = weight ? weight[b]! : 1;
      if (w === 0) continue;
      for (let o = 0; o < outputs; o++)
        this.#add(ascendingBits(bits[b * outputs + o]!) >>> BIN_SHIFT, targetAt(batch, b, o), w);
    }
  }

  /** @param state checked */
  merge({ bins, negatives, positives }: AucState): void {
    for (const [i, bin] of bins.entries()) {
      this.#add(bin, 0, negatives[i]!);
      this.#add(bin, 1, positives[i]!);
    }
  }

  toJSON(): AucState {
    const state: AucState = { bins: [], negatives: [], positives: [] };
    this.#forEachBin((bin, negatives, positives) => {
      state.bins.push(bin);
      state.negatives.push(negatives);
      state.positives.push(positives);
    });
    return state;
  }

  value(): number {
    const area = new RocArea();
    this.#forEachBin((_, negatives, positives) => area.add(negatives, positives));
    return area.value();
  }

  #add(bin: number, label: number, weight: number): void {
    const octave = bin >>> MANTISSA_BITS;
    let weights = this.#octaves.get(octave);
    if (!weights) this.#octaves.set(octave, (weights = new Float64Array(2 * OCTAVE)));
    weights[2 * (bin & (OCTAVE - 1)) + label]! += weight;
  }

  /** Visits the bins that hold samples, ascending. */
  #forEachBin(visit: (bin: number, negatives: number, positives: number) => void): void {
    for (const octave of [...this.#octaves.keys()].toSorted((a, b) => a - b)) {
      const weights = this.#octaves.get(octave)!;
      for (let i = 0; i < OCTAVE; i++) {
        const negatives = weights[2 * i]!;
        const positives = weights[2 * i + 1]!;
        if (negatives + positives > 0) visit(octave * OCTAVE + i, negatives, positives);
      }
    }
  }
}

/** @throws {TypeError} a malformed state */
export function checkAucState({ bins, negatives, positives }: AucState): void {
  if (negatives.length !== bins.length || positives.length !== bins.length) {
    throw new TypeError(`AUC state has ${bins.length} bins, ${negatives.length} and ${positives.length} counts`);
  }
  const beyond = bins.find((bin) => bin >= BINS);
  if (beyond !== undefined) throw new TypeError(`AUC state has a bin ${beyond}; the last one is ${BINS - 1}`);
}
