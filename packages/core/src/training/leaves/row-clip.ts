/**
 * Bounds what one volunteer can do to rows. A sample's rows get the gradients of whoever computed it: there are no
 * others to compare them with, as there are for dense variables, but those of all parts of a step are alike in length.
 * So two bounds hold for every use of a table, in lengths of the others:
 *
 * - the gradient of one sample, next to the longest ones of parts. Longest ones, since rare labels are what training
 *   lives from, and their gradients are far longer than most.
 * - all of a part together, next to the root mean square of parts: this is what keeps one who sends everything tenfold
 *   from outweighing the honest.
 *
 * Both are medians over the parts of a step, so that a minority has no say, or what the reducer itself has computed, if that
 * is longer; and they fall slowly from one step to the next, so that parts of few samples are not measured by each
 * other's luck. Which rows a volunteer touches it cannot choose: it is sent samples without their keys, and says one sum
 * for each of their rows, which counts here as equal gradients of all samples that have the row (`distinct-rows.ts`).
 *
 * Shapes: b samples of a part, E floats of a sample's rows, U uses.
 */
import { lowerMedian } from "../../statistics.ts";

/** A sample's gradient may be so many times as long as parts' longest. */
const LONGEST = 4;
/** The root mean square of a part's may be so many times that of the parts. */
const TOGETHER = 1.5;
/** And beyond that a part may have so many that are as long as parts' longest: of few samples some are rare ones. */
const SPARE = 4;
/** What lengths fall by at most, from step to step. */
const FADE = 0.98;

/** Row gradients of one part. */
export interface RowPart {
  /** float32, shape [b, E]; finite. What is too long is shortened in place, unless the part is trusted. */
  readonly rowGrads: Float32Array;
  readonly samples: number;
  /** Was it computed by the one who asks? */
  readonly trusted: boolean;
}

/** What is typical of a use's gradients, of Σ loss. */
interface Typical {
  /** Of the longest of a part. */
  longest: number;
  rootMeanSquare: number;
}

export class RowClip {
  readonly #widths: readonly number[];
  readonly #rowFloats: number;
  readonly #typical: readonly Typical[];

  /** @param widths floats of each use of a sample, shape [U]: they add up to E */
  constructor({ widths }: { widths: readonly number[] }) {
    this.#widths = widths;
    this.#rowFloats = widths.reduce((floats, width) => floats + width, 0);
    this.#typical = widths.map(() => ({ longest: 0, rootMeanSquare: 0 }));
  }

  /**
   * @param parts of one step; those without samples count for nothing
   * @param globalSamples what the sum of losses was divided by: one call's gradients are comparable with the next's
   * @returns how many gradients of each part were shortened, counting each sample once for each use
   * @throws {RangeError} a part of another length
   */
  clip(parts: readonly RowPart[], { globalSamples }: { globalSamples: number }): number[] {
    for (const [i, { rowGrads, samples }] of parts.entries()) {
      const floats = samples * this.#rowFloats;
      if (rowGrads.length !== floats) {
        throw new RangeError(`part ${i} has ${rowGrads.length} floats of rows; its ${samples} samples have ${floats}`);
      }
    }
    const clipped = parts.map(() => 0);
    let at = 0;
    for (const [use, width] of this.#widths.entries()) {
      const place = { at, width, stride: this.#rowFloats };
      const lengths = parts.map((part) => lengthsOf(part, place, globalSamples));
      const factors = this.#factors(this.#typical[use]!, lengths, parts);
      for (const [i, { rowGrads, trusted }] of parts.entries()) {
        if (!trusted) clipped[i]! += shorten(rowGrads, factors[i]!, place);
      }
      at += width;
    }
    return clipped;
  }

  /** @returns by how much the gradient of each sample of each part is to be shortened, in [0, 1]: it replaces `parts` */
  #factors(
    typical: Typical,
    parts: readonly Float64Array[],
    of: readonly Pick<RowPart, "trusted">[],
  ): readonly Float64Array[] {
    const some = parts.filter(({ length }) => length > 0);
    if (some.length === 0) return parts;
    const own = parts.filter(({ length }, i) => length > 0 && of[i]!.trusted);
    typical.longest = Math.max(FADE * typical.longest, lowerMedian(some.map(longest)), ...own.map(longest));
    const lengthMax = LONGEST * typical.longest;
    const squares = parts.map((lengths) => sumOfSquares(lengths, lengthMax));
    const meanOf = (lengths: Float64Array): number => Math.sqrt(squares[parts.indexOf(lengths)]! / lengths.length);
    const means = Math.max(lowerMedian(some.map(meanOf)), ...own.map(meanOf));
    typical.rootMeanSquare = Math.max(FADE * typical.rootMeanSquare, means);
    return parts.map((lengths, i) => {
      const squaresMax = lengths.length * (TOGETHER * typical.rootMeanSquare) ** 2 + SPARE * typical.longest ** 2;
      const all = squares[i]! > squaresMax ? Math.sqrt(squaresMax / squares[i]!) : 1;
      return lengths.map((length) => (length > lengthMax ? (all * lengthMax) / length : all));
    });
  }
}

/** Where the floats of a use lie. */
interface Place {
  at: number;
  width: number;
  /** E */
  stride: number;
}

/** Of each sample, of Σ loss: shape [b]. */
function lengthsOf({ rowGrads, samples }: RowPart, { at, width, stride }: Place, globalSamples: number): Float64Array {
  const lengths = new Float64Array(samples);
  for (let b = 0; b < samples; b++) {
    let square = 0;
    for (let i = b * stride + at; i < b * stride + at + width; i++) square += rowGrads[i]! * rowGrads[i]!;
    lengths[b] = Math.sqrt(square) * globalSamples;
  }
  return lengths;
}

function longest(lengths: Float64Array): number {
  let most = 0;
  for (const length of lengths) if (length > most) most = length;
  return most;
}

/** Those that are too long count as if they were as long as they may be. */
function sumOfSquares(lengths: Float64Array, lengthMax: number): number {
  let sum = 0;
  for (const length of lengths) sum += Math.min(length, lengthMax) ** 2;
  return sum;
}

/** @returns how many became shorter; gradients of 0 cannot */
function shorten(rowGrads: Float32Array, factors: Float64Array, { at, width, stride }: Place): number {
  let shortened = 0;
  for (const [b, factor] of factors.entries()) {
    if (factor === 1) continue;
    let isZero = true;
    for (let i = b * stride + at; i < b * stride + at + width; i++) {
      if (rowGrads[i] !== 0) isZero = false;
      rowGrads[i] = rowGrads[i]! * factor;
    }
    if (!isZero) shortened++;
  }
  return shortened;
}
