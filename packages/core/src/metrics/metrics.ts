/**
 * Metrics as states that merge: each worker scores its share of the test rows, and the merged states give exactly
 * what one pass over all rows gives, however the rows were shared out. Two things make that so: the AUC keeps
 * integer counts, and sums are kept exactly, as Shewchuk's non-overlapping partial sums (Adaptive Precision
 * Floating-Point Arithmetic, 1997; Python's `fsum`), and rounded once, at the end.
 */
import { z } from "zod";
import { metricSchema, type MetricName } from "../job/index.ts";

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const partialSums = z.array(z.number()).max(100);

const aucStateSchema = z.strictObject({
  /** Bins that hold samples, ascending; the other two arrays are parallel to it. */
  bins: z.array(z.number().int().nonnegative()),
  negatives: z.array(count),
  positives: z.array(count),
});

/** A state as it travels: plain JSON. */
export const metricsStateSchema = z.strictObject({
  samples: count,
  auc: aucStateSchema.optional(),
  logloss: z.strictObject({ sum: partialSums }).optional(),
  mse: z.strictObject({ sum: partialSums }).optional(),
});
export type MetricsState = z.infer<typeof metricsStateSchema>;
type AucState = z.infer<typeof aucStateSchema>;

export type MetricValues = Partial<Record<MetricName, number>>;

/** No metrics seen yet; `names` as in `compile.metrics`. */
export function newMetrics(names: readonly MetricName[]): Metrics {
  return new Metrics(names);
}

/** The state of some metrics over the samples seen so far. */
export class Metrics {
  #samples = 0;
  readonly #auc: AucHistogram | undefined;
  readonly #logloss: ExactSum | undefined;
  readonly #mse: ExactSum | undefined;

  constructor(names: readonly MetricName[]) {
    for (const name of names) metricSchema.parse(name);
    if (names.includes("auc")) this.#auc = new AucHistogram();
    if (names.includes("logloss")) this.#logloss = new ExactSum();
    if (names.includes("mse")) this.#mse = new ExactSum();
  }

  /**
   * Adds samples. Scores are what the model predicts: probabilities for `logloss`, anything that ranks for `auc`.
   *
   * @throws {RangeError} arrays of two lengths, a score that is not finite, or a label that is neither 0 nor 1
   * where the metric needs that; nothing is added then
   */
  update(labels: Float32Array, scores: Float32Array): void {
    checkSamples(labels, scores, { binary: this.#auc !== undefined || this.#logloss !== undefined });
    this.#samples += labels.length;
    this.#auc?.update(labels, scores);
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i]!;
      const score = scores[i]!;
      this.#logloss?.add(logloss(label, score));
      this.#mse?.add((score - label) * (score - label));
    }
  }

  /**
   * Adds what another worker has seen.
   *
   * @throws {TypeError} a state of other metrics, or one that is malformed
   */
  merge(state: MetricsState): void {
    const { auc, logloss: other, mse, samples } = state;
    const mine = [this.#auc, this.#logloss, this.#mse];
    const kinds = ["auc", "logloss", "mse"] as const;
    const odd = kinds.find((kind, i) => (state[kind] === undefined) !== (mine[i] === undefined));
    if (odd) throw new TypeError(`cannot merge metrics: only one of the two states has ${odd}`);
    if (auc) this.#auc!.merge(auc);
    for (const sum of other?.sum ?? []) this.#logloss!.add(sum);
    for (const sum of mse?.sum ?? []) this.#mse!.add(sum);
    this.#samples += samples;
  }

  toJSON(): MetricsState {
    return {
      samples: this.#samples,
      ...(this.#auc && { auc: this.#auc.toJSON() }),
      ...(this.#logloss && { logloss: { sum: this.#logloss.toJSON() } }),
      ...(this.#mse && { mse: { sum: this.#mse.toJSON() } }),
    };
  }

  /** NaN where there is nothing to tell: no samples, or labels of one class only for `auc`. */
  result(): MetricValues {
    return {
      ...(this.#auc && { auc: this.#auc.area() }),
      ...(this.#logloss && { logloss: this.#logloss.value() / this.#samples }),
      ...(this.#mse && { mse: this.#mse.value() / this.#samples }),
    };
  }
}

function checkSamples(labels: Float32Array, scores: Float32Array, { binary }: { binary: boolean }): void {
  if (labels.length !== scores.length) throw new RangeError(`${labels.length} labels, but ${scores.length} scores`);
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isFinite(scores[i]!))
      throw new RangeError(`score ${i} is ${scores[i]}: the model has diverged; lower its learning rates`);
    if (binary && labels[i] !== 0 && labels[i] !== 1) {
      throw new RangeError(`label ${i} is ${labels[i]}: auc and logloss need labels 0 and 1, as atLeast(…) makes them`);
    }
  }
}

/** As in tfjs, a score is held off 0 and 1 by 1e-7. */
function logloss(label: number, score: number): number {
  const p = Math.min(Math.max(score, 1e-7), 1 - 1e-7);
  return -Math.log(label === 1 ? p : 1 - p);
}

/** Bits of a float32's mantissa that its bin keeps: scores within 2⁻¹⁴ of each other, relatively, may share one. */
const MANTISSA_BITS = 14;
const BIN_SHIFT = 23 - MANTISSA_BITS;
/** Bins of one sign and exponent. */
const OCTAVE = 2 ** MANTISSA_BITS;
const BINS = 512 * OCTAVE;

/**
 * The area under the ROC curve, from counts of positives and negatives in bins of the score. A float32's bits, sign
 * flipped, ascend with its value, so their upper 23 are the bin. Samples in one bin count as tied, by half.
 *
 * With p and n positives and negatives in a bin, P and N in all, the error is at most ½ Σ p·n / (P·N): half the
 * chance that a random pair shares a bin. Spread-out scores share bins of width 2⁻¹⁴ relatively, which measures as
 * 1e-6 or less; a model that gives all samples one score gets ½, exactly.
 */
class AucHistogram {
  /** Octave → counts; negatives of bin i at 2i, positives at 2i + 1. Most octaves of the 512 never occur. */
  readonly #octaves = new Map<number, Float64Array>();

  update(labels: Float32Array, scores: Float32Array): void {
    const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
    for (let i = 0; i < bits.length; i++) this.#add(binOf(bits[i]!), labels[i]!, 1);
  }

  merge({ bins, negatives, positives }: AucState): void {
    if (negatives.length !== bins.length || positives.length !== bins.length) {
      throw new TypeError(`AUC state has ${bins.length} bins, ${negatives.length} and ${positives.length} counts`);
    }
    const beyond = bins.find((bin) => bin >= BINS);
    if (beyond !== undefined) throw new TypeError(`AUC state has a bin ${beyond}; the last one is ${BINS - 1}`);
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

  area(): number {
    let negativesBelow = 0;
    let positivesAll = 0;
    let pairs = 0;
    this.#forEachBin((_, negatives, positives) => {
      pairs += positives * (negativesBelow + negatives / 2);
      negativesBelow += negatives;
      positivesAll += positives;
    });
    return pairs / (positivesAll * negativesBelow);
  }

  #add(bin: number, label: number, samples: number): void {
    const octave = bin >>> MANTISSA_BITS;
    let counts = this.#octaves.get(octave);
    if (!counts) this.#octaves.set(octave, (counts = new Float64Array(2 * OCTAVE)));
    counts[2 * (bin & (OCTAVE - 1)) + label]! += samples;
  }

  /** Visits the bins that hold samples, ascending. */
  #forEachBin(visit: (bin: number, negatives: number, positives: number) => void): void {
    for (const octave of [...this.#octaves.keys()].toSorted((a, b) => a - b)) {
      const counts = this.#octaves.get(octave)!;
      for (let i = 0; i < OCTAVE; i++) {
        const negatives = counts[2 * i]!;
        const positives = counts[2 * i + 1]!;
        if (negatives + positives > 0) visit(octave * OCTAVE + i, negatives, positives);
      }
    }
  }
}

/** The bin of a float32, given its bits; −0 is in the bin of 0. */
function binOf(bits: number): number {
  if (bits === 0x8000_0000) return binOf(0);
  const ascending = bits >= 0x8000_0000 ? ~bits : bits | 0x8000_0000;
  return ascending >>> BIN_SHIFT;
}

/** A sum of doubles without any rounding: the partial sums do not overlap and add up to it exactly. */
class ExactSum {
  readonly #partials: number[] = [];

  add(term: number): void {
    const partials = this.#partials;
    let x = term;
    let kept = 0;
    for (let i = 0; i < partials.length; i++) {
      const y = partials[i]!;
      const high = x + y;
      const low = Math.abs(x) < Math.abs(y) ? x - (high - y) : y - (high - x);
      if (low !== 0) partials[kept++] = low;
      x = high;
    }
    partials.length = kept;
    if (x !== 0) partials.push(x);
  }

  /** The sum, rounded once: to nearest, ties to even. */
  value(): number {
    const partials = this.#partials;
    let i = partials.length - 1;
    if (i < 0) return 0;
    let high = partials[i]!;
    let low = 0;
    while (i > 0 && low === 0) {
      const x = high;
      const y = partials[--i]!;
      high = x + y;
      low = y - (high - x);
    }
    // Halfway cases are decided by the sign of what lies below (as in CPython's fsum).
    if (i > 0 && low !== 0 && Math.sign(low) === Math.sign(partials[i - 1]!)) {
      const doubled = high + 2 * low;
      if (doubled - high === 2 * low) high = doubled;
    }
    return high;
  }

  toJSON(): number[] {
    return [...this.#partials];
  }
}
