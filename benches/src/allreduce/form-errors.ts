/**
 * How far sums that travelled in fewer bytes are from the exact ones: ranks of one process that hand pieces to one
 * another, each with gradients of a normal distribution, a mean of its own and noise.
 */
import { allReduce, type AllReduce, type ReduceForm, type ReducePiece } from "@volary/core/collective";
import { seededRandom } from "@volary/core/testing";

const RANKS = 4;
/** So many that no algorithm for short data is chosen. */
const FLOATS = 65_536;
const ROUNDS = 20;
const SEED = 1;

/** Errors are |sum − exact| / |exact|. */
export interface FormErrors {
  /** Of one round. */
  round: number;
  /** Of all rounds together, where each rank adds what its form has lost to what it brings next. */
  fedBack: number;
}

export function errorsOfForm(form: ReduceForm): FormErrors {
  const gaussian = gaussians(SEED);
  const means = Array.from({ length: RANKS }, () => Float32Array.from({ length: FLOATS }, gaussian));
  const residuals = means.map((mean) => new Float32Array(mean.length));
  const exactOfAll = new Float64Array(FLOATS);
  const sumOfAll = new Float64Array(FLOATS);
  let ofRound = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const inputs = means.map((mean) => mean.map((x) => x + gaussian()));
    const exact = new Float64Array(FLOATS);
    for (const input of inputs) add(exact, input);
    const ranks = inputs.map((data, rank) => allReduce({ rank, size: RANKS, data, form, residual: residuals[rank]! }));
    run(ranks);
    ranks.forEach(({ residual }, rank) => residuals[rank]!.set(residual!));
    // The first round has nothing to add yet.
    if (round === 0) ofRound = relativeError(inputs[0]!, exact);
    add(exactOfAll, exact);
    add(sumOfAll, inputs[0]!);
  }
  return { round: ofRound, fedBack: relativeError(sumOfAll, exactOfAll) };
}

/** Hands pieces over, first in, first out, until there are none. */
function run(ranks: readonly AllReduce[]): void {
  const underWay: { from: number; piece: ReducePiece }[] = [];
  const send = (from: number, pieces: readonly ReducePiece[]) => {
    for (const piece of pieces)
      underWay.push({ from, piece: { ...piece, values: piece.values.slice(), coded: piece.coded.slice() } });
  };
  ranks.forEach((rank, from) => send(from, rank.start()));
  for (let next = underWay.shift(); next; next = underWay.shift()) {
    const { from, piece } = next;
    send(piece.peer, ranks[piece.peer]!.receive({ ...piece, peer: from }));
  }
  if (!ranks.every(({ done }) => done)) throw new Error("an all-reduce within one process did not end");
}

function add(to: Float64Array, from: ArrayLike<number>): void {
  for (let i = 0; i < to.length; i++) to[i]! += from[i]!;
}

function relativeError(sums: ArrayLike<number>, exact: Float64Array): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < exact.length; i++) {
    error += (sums[i]! - exact[i]!) ** 2;
    norm += exact[i]! ** 2;
  }
  return Math.sqrt(error / norm);
}

/** Box and Muller's method. */
function gaussians(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
