/** The dense weights that a job's committed steps must have left: sums in the order in which they are made, in one thread. */
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import { learningRateAt, optimizerOf } from "@volary/core/optimizer";
import { DENSE_FLOATS } from "./toy-job.ts";
import { initialDense } from "./training-run.ts";

export class DenseOracle {
  readonly #manifest: JobManifest;
  /** [weights | optimizer state] */
  readonly #floats: Float32Array;
  /** Members of the newest step, by rank. */
  #owners: readonly number[] = [];

  constructor(manifest: JobManifest) {
    this.#manifest = manifest;
    const optimizer = optimizerOf(manifest.compile.optimizer);
    this.#floats = new Float32Array(DENSE_FLOATS + optimizer.stateWidth(DENSE_FLOATS));
    this.#floats.set(initialDense(manifest));
    optimizer.initState(this.#floats, 0, DENSE_FLOATS);
  }

  get weights(): Float32Array {
    return this.#floats.subarray(0, DENSE_FLOATS);
  }

  /** @param o.slots gradients of each slot, of the members by rank where these have one each */
  update(o: { slots: readonly Float32Array[]; members: readonly number[]; step: number; scale: number }): void {
    const { slots, members, step, scale } = o;
    const { compile, fit } = this.#manifest;
    const isSharded = fit.dense === "sharded";
    if (isSharded) this.#forgetLost(members);
    const { optimizer } = compile;
    const isOnPs = consistencyOf(fit.consistency).dense === "ps";
    const sum = isOnPs ? slotSum(slots, scale) : isSharded ? ringSum(slots) : doublingSum(slots);
    optimizerOf(optimizer).update(this.#floats, 0, DENSE_FLOATS, sum, 0, step, learningRateAt(optimizer, step));
    this.#owners = members;
  }

  /** The state of a part whose owner is gone begins anew. */
  #forgetLost(members: readonly number[]): void {
    const optimizer = optimizerOf(this.#manifest.compile.optimizer);
    const width = optimizer.stateWidth(1);
    for (const [rank, owner] of this.#owners.entries()) {
      if (members.includes(owner)) continue;
      const { from, to } = partOf(rank, this.#owners.length);
      for (let i = from; i < to; i++) {
        const one = new Float32Array(1 + width);
        one[0] = this.#floats[i]!;
        optimizer.initState(one, 0, 1);
        for (let k = 0; k < width; k++) this.#floats[(k + 1) * DENSE_FLOATS + i] = one[k + 1]!;
      }
    }
  }
}

/** The part of a rank in a ring. */
function partOf(rank: number, size: number): { from: number; to: number } {
  return { from: Math.floor((DENSE_FLOATS * rank) / size), to: Math.floor((DENSE_FLOATS * (rank + 1)) / size) };
}

/** As a partition sums the slots of a step. */
function slotSum(slots: readonly Float32Array[], scale: number): Float32Array {
  return slots.reduce((a, b) => sumOf(a, b)).map((sum) => sum * Math.fround(scale));
}

/** As a ring sums: the part of a rank from the one after it on. */
function ringSum(slots: readonly Float32Array[]): Float32Array {
  const size = slots.length;
  const sum = new Float32Array(DENSE_FLOATS);
  for (let rank = 0; rank < size; rank++) {
    const { from, to } = partOf(rank, size);
    for (let i = from; i < to; i++) {
      for (let k = 1; k <= size; k++)
        sum[i] = k === 1 ? slots[(rank + k) % size]![i]! : sum[i]! + slots[(rank + k) % size]![i]!;
    }
  }
  return sum;
}

/** As short vectors are summed: by doubling, where ranks beyond the largest power of two give theirs away first. */
function doublingSum(slots: readonly Float32Array[]): Float32Array {
  const power = 2 ** Math.floor(Math.log2(slots.length));
  let sums = slots.slice(0, power).map((slot, rank) => sumOf(slot, slots[rank + power]));
  for (let apart = 1; apart < power; apart *= 2) {
    const before = sums;
    sums = before.map((sum, rank) => sumOf(sum, before[rank ^ apart]));
  }
  return sums[0]!;
}

function sumOf(a: Float32Array, b: Float32Array | undefined): Float32Array {
  return b === undefined ? a : a.map((x, i) => x + b[i]!);
}
