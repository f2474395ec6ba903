/**
 * What a volunteer's update must be before anyone computes with it: of the right lengths, finite, and not a thousand
 * times as large as what its reducer computes. These are bounds that no honest device reaches, so a volunteer that breaks one learns why
 * and is not asked again; what is only somewhat large is shortened (`row-clip.ts`, `collective/robust`).
 *
 * Which rows an update touches is not up to the volunteer: it has its samples without their keys, and says one sum of
 * gradients for each of their rows, of which each sample has its share here (`distinct-rows.ts`). So the length of row
 * gradients is the quota of rows.
 *
 * Shapes: b samples of a task, E floats of a sample's rows, n dense floats.
 */
import type { ClusterErrorCode } from "../../errors.ts";
import type { StepGradients } from "../job/gradient-model.ts";

/** An update may be so many times as large as what is usual. */
const TIMES_TYPICAL = 1_000;
/** The same where nothing is known yet, as a bound on each length: float32 squares of it still have room to add up. */
const LENGTH_MAX = 1e12;
/** No mean loss of less is too large: one that is nearly 0 says little about the next samples'. */
const LOSS_MIN = 1;
/** What is typical falls by at most, from update to update: those of few samples differ. */
const FADE = 0.98;

/** Why an update does not count: for programs and for people. */
export interface Refusal {
  code: Extract<ClusterErrorCode, "UPDATE_SHAPE" | "UPDATE_NOT_FINITE" | "UPDATE_NORM" | "UPDATE_DIFFERS">;
  message: string;
}

export interface ExpectedUpdate {
  /** b */
  samples: number;
  /** What the sum of losses is divided by, in gradients. */
  globalSamples: number;
  /** E */
  rowFloats: number;
  /** n */
  denseFloats: number;
  /** The least that the sum of losses can be; −∞ where it is left out. */
  lossSumMin?: number;
  typical: TypicalUpdate;
}

/** @returns why the update does not count; undefined where it may */
export function checkUpdate(update: StepGradients, expected: ExpectedUpdate): Refusal | undefined {
  return wrongLength(update, expected) ?? notFinite(update) ?? tooLarge(update, expected);
}

function wrongLength({ rowGrads, denseGrads }: StepGradients, expected: ExpectedUpdate): Refusal | undefined {
  const { samples, rowFloats, denseFloats } = expected;
  if (rowGrads.length !== samples * rowFloats) {
    const message =
      `the update has ${rowGrads.length} floats of row gradients; ${samples} samples of ${rowFloats} floats ` +
      `have ${samples * rowFloats}`;
    return { code: "UPDATE_SHAPE", message };
  }
  if (denseGrads.length !== denseFloats) {
    const message = `the update has ${denseGrads.length} floats of dense gradients; the model has ${denseFloats}`;
    return { code: "UPDATE_SHAPE", message };
  }
  return undefined;
}

function notFinite({ rowGrads, denseGrads, lossSum }: StepGradients): Refusal | undefined {
  const all = { "row gradients": rowGrads, "dense gradients": denseGrads, "its loss": [lossSum] };
  for (const [name, values] of Object.entries(all)) {
    const at = firstNotFinite(values);
    if (at === undefined) continue;
    const place = name === "its loss" ? name : `float ${at} of its ${name}`;
    return {
      code: "UPDATE_NOT_FINITE",
      message: `${place} is ${values[at]}; every number of an update must be finite`,
    };
  }
  return undefined;
}

function firstNotFinite(values: ArrayLike<number>): number | undefined {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return undefined;
}

function tooLarge(update: StepGradients, expected: ExpectedUpdate): Refusal | undefined {
  const { lossSumMin = -Infinity, samples } = expected;
  if (update.lossSum < lossSumMin) {
    const message = `the update's loss is ${update.lossSum}; that of ${samples} samples is at least ${lossSumMin}`;
    return { code: "UPDATE_NORM", message };
  }
  const sizes = sizesOf(update, expected);
  for (const name of SIZES) {
    const [got, max] = [sizes[name], expected.typical.most(name)];
    if (got <= max) continue;
    const message =
      `the update's ${NAMES[name]} is ${got.toPrecision(3)} a sample, and at most ${max.toPrecision(3)} is taken: ` +
      `${TIMES_TYPICAL} times what is usual`;
    return { code: "UPDATE_NORM", message };
  }
  return undefined;
}

const SIZES = ["rows", "dense", "loss"] as const;
type Size = (typeof SIZES)[number];
const NAMES: Readonly<Record<Size, string>> = {
  rows: "length of row gradients",
  dense: "length of dense gradients",
  loss: "loss",
};

/** How large updates are, as a reducer's own have shown. */
export class TypicalUpdate {
  #sizes: Readonly<Record<Size, number>> = { rows: 0, dense: 0, loss: 0 };

  /** Learns from an update that the reducer computed itself: no volunteer can make others' bounds wider. */
  see(update: StepGradients, of: Pick<ExpectedUpdate, "samples" | "globalSamples">): void {
    if (of.samples === 0) return;
    const now = sizesOf(update, of);
    const moved = (name: Size): number => Math.max(FADE * this.#sizes[name], now[name]);
    this.#sizes = { rows: moved("rows"), dense: moved("dense"), loss: moved("loss") };
  }

  /** The largest that is taken. A gradient of 0 says nothing: weights that have not moved yet may have some. */
  most(name: Size): number {
    const size = this.#sizes[name];
    if (size === 0) return LENGTH_MAX;
    return TIMES_TYPICAL * (name === "loss" ? Math.max(LOSS_MIN, size) : size);
  }
}

/** For a sample, of Σ loss: root mean square of its rows' gradient, length of the mean dense gradient, |mean loss|. */
function sizesOf(
  { rowGrads, denseGrads, lossSum }: StepGradients,
  { samples, globalSamples }: Pick<ExpectedUpdate, "samples" | "globalSamples">,
): Record<Size, number> {
  if (samples === 0) return { rows: 0, dense: 0, loss: 0 };
  return {
    rows: (lengthOf(rowGrads) * globalSamples) / Math.sqrt(samples),
    dense: (lengthOf(denseGrads) * globalSamples) / samples,
    loss: Math.abs(lossSum) / samples,
  };
}

/** ‖values‖, in float64. */
export function lengthOf(values: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! * values[i]!;
  return Math.sqrt(squares);
}
