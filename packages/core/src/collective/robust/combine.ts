/**
 * One sum of what volunteers and their reducer computed, in which no volunteer counts for more than a bounded share.
 * Gradients come as sums of Σ loss / globalSamples, so that honest ones simply add; a rule looks at them per sample,
 * gᵢ = sumᵢ / samplesᵢ.
 *
 * - `mean` adds. One liar moves it as far as it likes.
 * - `centered-clip` moves a gradient that is too far from a centre towards it, as far as the radius (Karimireddy, He,
 *   Jaggi, ICML 2021, arXiv:2012.10333). The centre is what was combined before, so it knows what this step's liars
 *   cannot change. The mean of s samples strays from the true gradient by σ / √s; so a distance is ‖gᵢ − centre‖ · √sᵢ,
 *   and the radius is {@link RADIUS} of their median, or of what the reducer's own is, if that is greater. A part of few
 *   samples may be further away, as far as it then moves the sum by no more than a part of mean size: one rare sample
 *   is much of it. What a reducer computed itself is never moved. Where nothing is moved, the result is the plain sum,
 *   bit for bit.
 * - `trimmed-mean` leaves out the greatest and the least of every coordinate (Yin et al., ICML 2018,
 *   arXiv:1803.01498): {@link TRIMMED} of the parts on each side, at least one where there are three. Parts count alike,
 *   however many samples they are of, and honest ones lose what lies outside, so it costs accuracy where nobody lies.
 *
 * All of it is a function of parts in the order of their slots: who combines the same parts gets the same bits.
 */
import { assert } from "../../errors.ts";
import { lowerMedian } from "../../statistics.ts";
import { KERNELS } from "../kernels.ts";

export const COMBINE_RULES = ["centered-clip", "trimmed-mean", "mean"] as const;
export type CombineRule = (typeof COMBINE_RULES)[number];

/** Of the median distance. Distances of honest parts are nearly equal, as each is the length of a long vector. */
const RADIUS = 2;
const TRIMMED = 0.3;

/** Gradients of one part of a step's samples. */
export interface Part {
  /** Their sum: float32, shape [n]; finite. Only read. */
  readonly dense: Float32Array;
  /** Of which it is. */
  readonly samples: number;
  /** Was it computed by the one who combines? */
  readonly trusted: boolean;
}

export interface Combined {
  /** What counts: float32, shape [n]; the caller owns it. */
  readonly sum: Float32Array;
  /** Which parts were moved towards the centre, in their order. */
  readonly clipped: readonly boolean[];
}

export class Combiner {
  readonly #rule: CombineRule;
  readonly #n: number;
  /** The centre: what was combined last, per sample, of Σ loss. At first it is 0. */
  readonly #centre: Float32Array;

  /** @param n floats of a part */
  constructor({ rule, n }: { rule: CombineRule; n: number }) {
    this.#rule = rule;
    this.#n = n;
    this.#centre = new Float32Array(rule === "centered-clip" ? n : 0);
  }

  /**
   * @param parts in the order of their slots; those without samples count for nothing
   * @param globalSamples what the sum of losses was divided by: one call's gradients are comparable with the next's
   * @throws {RangeError} a part of another length
   */
  combine(parts: readonly Part[], { globalSamples }: { globalSamples: number }): Combined {
    for (const [i, { dense }] of parts.entries()) {
      if (dense.length !== this.#n) {
        throw new RangeError(`part ${i} has ${dense.length} floats; this combiner takes ${this.#n}`);
      }
    }
    const some = parts.filter(({ samples }) => samples > 0);
    if (some.length === 0) return { sum: new Float32Array(this.#n), clipped: parts.map(() => false) };
    switch (this.#rule) {
      case "mean":
        return { sum: plainSum(some), clipped: parts.map(() => false) };
      case "trimmed-mean":
        return { sum: trimmedSum(some), clipped: parts.map(() => false) };
      case "centered-clip":
        return this.#centeredClip(parts, some, 1 / globalSamples);
      default:
        return this.#rule satisfies never;
    }
  }

  #centeredClip(parts: readonly Part[], some: readonly Part[], unit: number): Combined {
    const shrink = this.#shrink(some, unit);
    const sum = shrink.every((factor) => factor === 1) ? plainSum(some) : this.#movedSum(some, { shrink, unit });
    const perSample = 1 / (unit * some.reduce((samples, part) => samples + part.samples, 0));
    for (let i = 0; i < sum.length; i++) this.#centre[i] = sum[i]! * perSample;
    return { sum, clipped: parts.map((part) => part.samples > 0 && shrink[some.indexOf(part)]! < 1) };
  }

  /** @returns by how much each part's way from the centre is shortened: in [0, 1] */
  #shrink(parts: readonly Part[], unit: number): number[] {
    const distances = parts.map((part) => distanceOf(part, { centre: this.#centre, unit }));
    const own = distances.filter((_, i) => parts[i]!.trusted);
    const usual = Math.max(lowerMedian(distances), ...own.filter(Number.isFinite));
    const meanSamples = parts.reduce((sum, { samples }) => sum + samples, 0) / parts.length;
    return parts.map(({ trusted, samples }, i) => {
      const distance = distances[i]!;
      const radius = RADIUS * usual * Math.sqrt(Math.max(1, meanSamples / samples));
      if (trusted || distance <= radius) return 1;
      return Number.isFinite(distance) ? radius / distance : 0;
    });
  }

  #movedSum(parts: readonly Part[], { shrink, unit }: { shrink: readonly number[]; unit: number }): Float32Array {
    const sum = new Float32Array(this.#n);
    for (const [i, { dense, samples }] of parts.entries()) {
      const factor = shrink[i]!;
      if (factor === 1) KERNELS.addFloats(sum, dense);
      else addMoved(sum, dense, { centre: this.#centre, ofCentre: samples * unit * (1 - factor), factor });
    }
    return sum;
  }
}

function plainSum([first, ...others]: readonly Part[]): Float32Array {
  assert(first, "there is no part to add");
  const sum = first.dense.slice();
  for (const { dense } of others) KERNELS.addFloats(sum, dense);
  return sum;
}

/** ‖sum / samples − unit · centre‖ · √samples, in float64. */
function distanceOf({ dense, samples }: Part, { centre, unit }: { centre: Float32Array; unit: number }): number {
  let squares = 0;
  for (let i = 0; i < dense.length; i++) {
    const away = dense[i]! / samples - centre[i]! * unit;
    squares += away * away;
  }
  return Math.sqrt(squares * samples);
}

/** Adds dense · factor + centre · ofCentre. */
function addMoved(
  sum: Float32Array,
  dense: Float32Array,
  { centre, ofCentre, factor }: { centre: Float32Array; ofCentre: number; factor: number },
): void {
  for (let i = 0; i < sum.length; i++) {
    const own = factor === 0 ? 0 : dense[i]! * factor; // 0 · ∞ is NaN
    sum[i]! += own + centre[i]! * ofCentre;
  }
}

/** The sum of all samples, if the mean of those that are left of each coordinate were that of every sample. */
function trimmedSum(parts: readonly Part[]): Float32Array {
  const k = parts.length;
  const cut = k < 3 ? 0 : Math.max(1, Math.floor(TRIMMED * k));
  const samples = parts.reduce((all, part) => all + part.samples, 0);
  const scale = samples / (k - 2 * cut);
  const denses = parts.map(({ dense }) => dense);
  const perSample = parts.map((part) => 1 / part.samples);
  const sum = new Float32Array(denses[0]!.length);
  const values = new Float64Array(k);
  for (let i = 0; i < sum.length; i++) {
    for (let p = 0; p < k; p++) values[p] = denses[p]![i]! * perSample[p]!;
    sortFew(values);
    let kept = 0;
    for (let p = cut; p < k - cut; p++) kept += values[p]!;
    sum[i] = kept * scale;
  }
  return sum;
}

/** By insertion: there are few, and a library's sort of so few takes several times as long. */
function sortFew(values: Float64Array): void {
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    let at = i;
    for (; at > 0 && values[at - 1]! > value; at--) values[at] = values[at - 1]!;
    values[at] = value;
  }
}
