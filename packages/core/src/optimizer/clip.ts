/**
 * Bounds on a gradient, in place, as Keras's `clipvalue`, `clipnorm` and `global_clipnorm`. Lengths are summed in
 * float64 in the order of the components and factors rounded to float32, so replicas agree to the bit.
 */

/** Cuts each component to ±limit. */
export function clipByValue(grads: Float32Array, at: number, length: number, limit: number): void {
  const max = Math.fround(limit);
  for (let i = at; i < at + length; i++) {
    const g = grads[i]!;
    if (g > max) grads[i] = max;
    else if (g < -max) grads[i] = -max;
  }
}

/** Scales a vector that is longer than `limit` to this length; others stay as they are, to the bit. */
export function clipByNorm(vector: Float32Array, at: number, length: number, limit: number): void {
  let squares = 0;
  for (let i = at; i < at + length; i++) squares += vector[i]! * vector[i]!;
  const norm = Math.sqrt(squares);
  if (!(norm > limit)) return;
  const factor = Math.fround(limit / norm);
  for (let i = at; i < at + length; i++) vector[i] = vector[i]! * factor;
}
