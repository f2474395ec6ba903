/** For the tests: all ranks of a round in one place, joined by links that deliver in their order, any link first. */
import { expect } from "vitest";
import type { AllReduce, ReducePiece } from "./all-reduce.ts";

/** Chooses one of so many links that have something to deliver. */
export type Pick = (links: number) => number;

export const firstLink: Pick = () => 0;

/** The picks of an endless draw, as `fc.infiniteStream(fc.nat())` gives it. */
export function picksOf(draw: Iterator<number>): Pick {
  return (links) => (draw.next().value as number) % links;
}

/** Runs a round to its end. Returns how many bytes of values each rank sent. */
export function runRound(ranks: readonly AllReduce[], pick: Pick = firstLink): number[] {
  const links = new Map<string, { from: number; to: number; queue: ReducePiece[] }>();
  const sentBytes = ranks.map(() => 0);
  const send = (from: number, pieces: ReducePiece[]) => {
    for (const piece of pieces) {
      const name = `${from} ${piece.peer}`;
      if (!links.has(name)) links.set(name, { from, to: piece.peer, queue: [] });
      // What a link sends is copied, and may change for the sender after that; what lasts is still the same on arrival.
      const sent = piece.lasts ? piece : { ...piece, values: piece.values.slice(), coded: piece.coded.slice() };
      links.get(name)!.queue.push(sent);
      sentBytes[from]! += sent.values.byteLength + sent.coded.length;
    }
  };
  for (const [rank, reduction] of ranks.entries()) send(rank, reduction.start());
  for (;;) {
    const busy = [...links.values()].filter(({ queue }) => queue.length > 0);
    if (busy.length === 0) break;
    const { from, to, queue } = busy[pick(busy.length)]!;
    const sent = queue.shift()!;
    const piece = sent.lasts ? { ...sent, values: sent.values.slice() } : sent;
    send(to, ranks[to]!.receive({ ...piece, peer: from }));
    // What came may be overwritten by what comes next.
    piece.values.fill(Number.NaN);
    piece.coded.fill(0xff);
  }
  for (const reduction of ranks) expect(reduction.done).toBe(true);
  return sentBytes;
}

/** The documented order of a ring: chunk c is summed from rank c + 1 cyclically, in float32. */
export function ringSum(inputs: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const size = inputs.length;
  const n = inputs[0]!.length;
  const out = new Float32Array(n);
  for (let c = 0; c < size; c++) {
    for (let i = Math.floor((n * c) / size); i < Math.floor((n * (c + 1)) / size); i++) {
      let sum = inputs[(c + 1) % size]![i]!;
      for (let k = 2; k <= size; k++) sum = Math.fround(sum + inputs[(c + k) % size]![i]!);
      out[i] = sum;
    }
  }
  return out;
}

/** The sums in float64. */
export function exactSum(inputs: readonly Float32Array[]): Float64Array {
  const out = new Float64Array(inputs[0]!.length);
  for (const input of inputs) for (let i = 0; i < out.length; i++) out[i]! += input[i]!;
  return out;
}

/** |a − b| / |b| */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return norm === 0 ? Math.sqrt(error) : Math.sqrt(error / norm);
}

/**
 * How far sums are from the exact ones, in relation to what went into them. In relation to the sums it would have no
 * bound: what is added may cancel, its errors do not.
 */
export function errorOfSum(sum: ArrayLike<number>, terms: readonly Float32Array[]): number {
  const exact = exactSum(terms);
  let error = 0;
  let norm = 0;
  for (const [i, value] of exact.entries()) {
    error += (sum[i]! - value) ** 2;
    for (const term of terms) norm += term[i]! ** 2;
  }
  return norm === 0 ? Math.sqrt(error) : Math.sqrt(error / norm);
}

/** Values of a normal distribution, the same for the same seed (Marsaglia's polar method over mulberry32). */
export function gaussians(n: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: n }, () => {
    for (;;) {
      const x = 2 * uniform() - 1;
      const y = 2 * uniform() - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square);
    }
  });
}
