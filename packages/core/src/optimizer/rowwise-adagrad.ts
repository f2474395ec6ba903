/**
 * Row-wise Adagrad, as in FBGEMM and TorchRec (`EXACT_ROWWISE_ADAGRAD`): one accumulator for the whole row, so a
 * row of 64 weights carries 4 bytes of state instead of 256. Epsilon is outside the root:
 *
 *     n += mean(g²);   w -= lr / (√n + epsilon) · g
 *
 * The squares are summed in four lanes, `(l0 + l1) + (l2 + l3)` with weight i in lane i mod 4, so a SIMD kernel
 * gives the same bits.
 */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function rowwiseAdagradOptimizer(spec: SpecOf<"rowwise-adagrad">): Optimizer {
  const f32 = Math.fround;
  const epsilon = f32(spec.epsilon);
  const { initialAccumulator } = spec;

  return {
    stateWidth: () => 1,
    initState(rows, at, dim) {
      rows[at + dim] = initialAccumulator;
    },
    update(rows, at, dim, grads, gradAt, _, learningRate) {
      const mean = f32(squareSum(grads, gradAt, dim) / dim);
      const n = f32(rows[at + dim]! + mean);
      rows[at + dim] = n;
      const c = f32(-learningRate / f32(f32(Math.sqrt(n)) + epsilon));
      for (let i = 0; i < dim; i++) {
        rows[at + i] = f32(c * grads[gradAt + i]!) + rows[at + i]!;
      }
    },
  };
}

function squareSum(grads: Float32Array, gradAt: number, dim: number): number {
  const f32 = Math.fround;
  let l0 = 0;
  let l1 = 0;
  let l2 = 0;
  let l3 = 0;
  let i = 0;
  for (; i + 4 <= dim; i += 4) {
    const g0 = grads[gradAt + i]!;
    const g1 = grads[gradAt + i + 1]!;
    const g2 = grads[gradAt + i + 2]!;
    const g3 = grads[gradAt + i + 3]!;
    l0 = f32(l0 + f32(g0 * g0));
    l1 = f32(l1 + f32(g1 * g1));
    l2 = f32(l2 + f32(g2 * g2));
    l3 = f32(l3 + f32(g3 * g3));
  }
  const rest = dim - i;
  if (rest > 0) l0 = f32(l0 + f32(grads[gradAt + i]! * grads[gradAt + i]!));
  if (rest > 1) l1 = f32(l1 + f32(grads[gradAt + i + 1]! * grads[gradAt + i + 1]!));
  if (rest > 2) l2 = f32(l2 + f32(grads[gradAt + i + 2]! * grads[gradAt + i + 2]!));
  return f32(f32(l0 + l1) + f32(l2 + l3));
}
