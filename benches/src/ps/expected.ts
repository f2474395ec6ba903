/**
 * What a system must hold after what was pushed to it, as one sum per batch: a bench that does not look at the answers
 * may time something else.
 */
import { optimizerOf, rowwiseAdagrad, type OptimizerSpec } from "@volary/core/optimizer";
import { fillRow, keyLow, rowSum, type Workload } from "./workload.ts";

/** The rate is a power of two: so C, with float32 alone, gets the bits that JavaScript gets from doubles. */
export const UPDATE = { learningRate: 1 / 16, epsilon: 2 ** -20, initialAccumulator: 0.5 } as const;

export const updateSpec = (): OptimizerSpec => rowwiseAdagrad(UPDATE);

export interface ExpectedRows {
  /** A round in which each of `clients` pushed every batch. */
  push(round: number, clients: number): void;
  /** Of the rows of each batch, as clients report them. */
  sums(): number[];
}

/** Rows of a system that stores what it is sent. */
export function expectedOfStore({ batches, dim }: Workload): ExpectedRows {
  const row = new Float32Array(dim);
  const words = new Uint32Array(row.buffer);
  let last = 0;
  return {
    push: (round) => void (last = round),
    sums: () =>
      batches.map((indexes) => {
        let sum = 0;
        for (const index of indexes) {
          const low = keyLow(index);
          fillRow(row, 0, { low, round: last, dim });
          sum = (sum + rowSum(words, 0, { low, dim })) | 0;
        }
        return sum >>> 0;
      }),
  };
}

/** Rows of a parameter server with row-wise Adagrad. Order does not matter: a round pushes equal gradients for a key. */
export function expectedOfAdagrad({ batches, dim }: Workload): ExpectedRows {
  const optimizer = optimizerOf(updateSpec());
  const width = dim + 1;
  const places = new Map<number, number>();
  for (const indexes of batches) for (const index of indexes) if (!places.has(index)) places.set(index, places.size);
  const rows = new Float32Array(places.size * width);
  const words = new Uint32Array(rows.buffer);
  for (const [index, place] of places) {
    fillRow(rows, place * width, { low: keyLow(index), round: 0, dim });
    optimizer.initState(rows, place * width, dim);
  }
  const gradient = new Float32Array(dim);
  return {
    push(round, clients) {
      for (const indexes of batches) {
        for (const index of indexes) {
          fillRow(gradient, 0, { low: keyLow(index), round, dim });
          const at = places.get(index)! * width;
          for (let i = 0; i < clients; i++) optimizer.update(rows, at, dim, gradient, 0, 1, UPDATE.learningRate);
        }
      }
    },
    sums: () =>
      batches.map((indexes) => {
        let sum = 0;
        for (const index of indexes)
          sum = (sum + rowSum(words, places.get(index)! * width, { low: keyLow(index), dim })) | 0;
        return sum >>> 0;
      }),
  };
}
