/**
 * Some updates are computed again by the reducer, from the same weights, rows and samples: whoever sent something else
 * is found out. Each update is drawn with the same probability, whoever it is from, so a volunteer that lies in every
 * one is found, at a share of 0.05, after 20 on average, and after 90 in 99 of 100 cases. Honest devices differ in their
 * last bits, as sums of float32 in another order do, and by what the form in which gradients travel loses.
 */
import type { ValueDtype } from "../../compression/index.ts";
import { threefry } from "../../table/index.ts";
import type { StepGradients } from "../job/gradient-model.ts";
import type { DistinctRows } from "./distinct-rows.ts";
import type { LeafForms } from "./leaf-frames.ts";
import { lengthOf, type Refusal } from "./update-check.ts";

/**
 * ‖update − recomputed‖ / ‖recomputed‖ that is believed: some times what WebGL and WebGPU differ by from WebAssembly
 * with float32, and what bfloat16 (8 bits) and int8 (256 steps of a row's range) lose.
 */
const TOLERANCE: Readonly<Record<ValueDtype, number>> = { float32: 0.005, bfloat16: 0.01, int8: 0.05 };
/** And so much of every float: devices may take the least of them for 0. */
const TINY = 1e-12;

export class AuditDraw {
  readonly #key: Uint32Array;
  readonly #share: number;
  readonly #drawn = new Uint32Array(4);

  /**
   * @param seed u32 words that no volunteer knows, at most 4: it could tell the truth just where it is looked at
   * @param share of updates that are computed again, in [0, 1]
   */
  constructor({ seed, share }: { seed: ArrayLike<number>; share: number }) {
    if (!(share >= 0 && share <= 1)) throw new RangeError(`a share of ${share} cannot be audited; it is from 0 to 1`);
    this.#key = new Uint32Array(4);
    this.#key.set(seed);
    this.#share = share;
  }

  /** A pure function of the seed, the volunteer and the task. */
  picks({ volunteer, task }: { volunteer: number; task: number }): boolean {
    threefry(this.#drawn, this.#key, volunteer, task, 0, 0);
    return this.#drawn[0]! < this.#share * 2 ** 32;
  }
}

/**
 * @param update of the right lengths; of gradients of one row all are the same
 * @param recomputed by sample
 * @param of.forms in which gradients came
 * @param of.distinct which rows are the same
 * @returns why it does not count; undefined where it is what the reducer computed
 */
export function differs(
  update: StepGradients,
  recomputed: StepGradients,
  { forms, distinct }: { forms: Pick<LeafForms, "gradients" | "dense">; distinct: DistinctRows },
): Refusal | undefined {
  const loss = (of: StepGradients): Float32Array => Float32Array.of(of.lossSum);
  const shares = distinct.shares(distinct.sums(recomputed.rowGrads));
  const [rows, dense] = [TOLERANCE[forms.gradients], TOLERANCE[forms.dense]];
  // Sums may cancel out where gradients do not, whose last bits still differ: these say what is close.
  const parts = [
    { name: "row gradients", got: update.rowGrads, want: shares, of: recomputed.rowGrads, most: rows },
    { name: "dense gradients", got: update.denseGrads, want: recomputed.denseGrads, most: dense },
    { name: "loss", got: loss(update), want: loss(recomputed), most: TOLERANCE.float32 },
  ];
  for (const { name, got, want, of = want, most } of parts) {
    const away = distance(got, want);
    const length = lengthOf(of);
    if (away <= most * length + TINY * Math.sqrt(want.length)) continue;
    const message =
      `the ${name} of the update differ from the same ones computed again: their distance is ${away.toPrecision(3)}, ` +
      `${most} of their length ${length.toPrecision(3)} would be taken`;
    return { code: "UPDATE_DIFFERS", message };
  }
  return undefined;
}

/** ‖a − b‖, in float64; infinite where one is not finite. */
function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < b.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return Number.isNaN(squares) ? Infinity : Math.sqrt(squares);
}
