/**
 * Adam (Kingma and Ba, ICLR 2015), as in TensorFlow.js, where epsilon is outside the root:
 *
 *     m = β₁ · m + (1 − β₁) · g;   v = β₂ · v + (1 − β₂) · g²
 *     w -= lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + epsilon)
 *
 * AdamW (Loshchilov and Hutter, ICLR 2019) first shrinks the weights, apart from the gradient: w -= lr · decay · w.
 * A row shrinks when it is updated, so one that is not looked up stays as it is.
 *
 * t is the row's own number of updates (as in TensorFlow's LazyAdam), so a rare key is corrected for its own bias.
 * State per weight: all m, then all v.
 */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function adamOptimizer(spec: SpecOf<"adam"> | SpecOf<"adamw">): Optimizer {
  const f32 = Math.fround;
  const epsilon = f32(spec.epsilon);
  const beta1 = f32(spec.beta1);
  const beta2 = f32(spec.beta2);
  const rest1 = f32(1 - spec.beta1);
  const rest2 = f32(1 - spec.beta2);
  const unbias1 = oneMinusPowers(spec.beta1);
  const unbias2 = oneMinusPowers(spec.beta2);
  const weightDecay = spec.kind === "adamw" ? f32(spec.weightDecay) : 0;

  return {
    stateWidth: (dim) => 2 * dim,
    initState(rows, at, dim) {
      rows.fill(0, at + dim, at + 3 * dim);
    },
    update(rows, at, dim, grads, gradAt, updates, learningRate) {
      const c = -learningRate;
      const eps = epsilon;
      const b1 = beta1;
      const b2 = beta2;
      const r1 = rest1;
      const r2 = rest2;
      const u1 = unbias1(updates);
      const u2 = unbias2(updates);
      const mAt = at + dim;
      const vAt = mAt + dim;
      if (weightDecay > 0) {
        const shrink = f32(c * weightDecay);
        for (let i = at; i < at + dim; i++) rows[i] = f32(shrink * rows[i]!) + rows[i]!;
      }
      for (let i = 0; i < dim; i++) {
        const g = grads[gradAt + i]!;
        const m = f32(f32(rows[mAt + i]! * b1) + f32(g * r1));
        const v = f32(f32(rows[vAt + i]! * b2) + f32(f32(g * g) * r2));
        rows[mAt + i] = m;
        rows[vAt + i] = v;
        rows[at + i] = f32(f32(f32(m / u1) / f32(f32(Math.sqrt(f32(v / u2))) + eps)) * c) + rows[at + i]!;
      }
    },
  };
}

/** Powers kept in a table; a row updated more often takes the slower way. */
const TABLE_MAX = 65_536;

/**
 * `t => 1 − betaᵗ` in float32. The power is accumulated by multiplication as in TensorFlow.js; `Math.pow` would
 * be slower, and engines differ in its last bit.
 */
function oneMinusPowers(beta: number): (updates: number) => number {
  const f32 = Math.fround;
  const factor = f32(beta);
  let table = new Float32Array(0);
  let length = 0;

  const grow = (updates: number): void => {
    const wanted = Math.min(TABLE_MAX, Math.max(64, 2 * updates));
    const longer = new Float32Array(wanted);
    let power = 1;
    for (let i = 0; i < wanted; i++) {
      power = f32(power * factor);
      longer[i] = 1 - power;
    }
    table = longer;
    length = wanted;
  };

  return (updates) => {
    if (updates <= length) return table[updates - 1]!;
    if (updates > TABLE_MAX) return f32(1 - powerOf(factor, updates));
    grow(updates);
    return table[updates - 1]!;
  };
}

/** baseⁿ by squaring, in float64: multiplications only, so every engine agrees. */
function powerOf(base: number, n: number): number {
  let power = 1;
  let square = base;
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power *= square;
    square *= square;
  }
  return power;
}
