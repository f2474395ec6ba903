// What optimizers do to float32 rows, in place: the arithmetic of `../../optimizer`, to the bit. `rows` lists n rows,
// `grads` has one row of `dim` floats for each, `rate` is the learning rate of the step.
//
// Four floats at a time. The last lanes of a row may reach beyond its weights, into its state or what lies behind the
// row; they are stored as they were loaded, at ascending addresses, so what is there stays.

import { AHEAD, ROW_HEADER_BYTES, UPDATES, rowAt, touchAhead } from "./rows";

/** w -= rate · g */
export function updateSgd(rows: usize, n: u32, dim: u32, grads: usize, rate: f32): void {
  const width: usize = dim << 2;
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, width);
    addScaled(rowAt(rows, r) + ROW_HEADER_BYTES, gradients, width, -rate);
  }
}

/** v = momentum · v + g; w -= rate · v or, if `nesterov` is not 0, rate · (g + momentum · v) */
export function updateMomentum(
  rows: usize,
  n: u32,
  dim: u32,
  grads: usize,
  rate: f32,
  momentum: f32,
  nesterov: u32,
): void {
  const width: usize = dim << 2;
  const c = f32x4.splat(-rate);
  const m = f32x4.splat(momentum);
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, 2 * width);
    const weights = rowAt(rows, r) + ROW_HEADER_BYTES;
    for (let i: usize = 0; i < width; i += 16) {
      const at = weights + i;
      const lanes = lanesOf(width - i);
      const g = v128.load(gradients + i);
      const w = v128.load(at);
      const v = v128.load(at + width);
      const nextV = f32x4.add(f32x4.mul(m, v), g);
      const direction = nesterov == 0 ? nextV : f32x4.add(g, f32x4.mul(nextV, m));
      const nextW = f32x4.add(f32x4.mul(c, direction), w);
      v128.store(at, v128.bitselect(nextW, w, lanes));
      v128.store(at + width, v128.bitselect(nextV, v, lanes));
    }
  }
}

/** a += g²; w -= rate · g / √(a + epsilon) */
export function updateAdagrad(rows: usize, n: u32, dim: u32, grads: usize, rate: f32, epsilon: f32): void {
  const width: usize = dim << 2;
  const c = f32x4.splat(-rate);
  const eps = f32x4.splat(epsilon);
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, 2 * width);
    const weights = rowAt(rows, r) + ROW_HEADER_BYTES;
    for (let i: usize = 0; i < width; i += 16) {
      const at = weights + i;
      const lanes = lanesOf(width - i);
      const g = v128.load(gradients + i);
      const w = v128.load(at);
      const a = v128.load(at + width);
      const nextA = f32x4.add(a, f32x4.mul(g, g));
      const direction = f32x4.div(g, f32x4.sqrt(f32x4.add(nextA, eps)));
      const nextW = f32x4.add(f32x4.mul(c, direction), w);
      v128.store(at, v128.bitselect(nextW, w, lanes));
      v128.store(at + width, v128.bitselect(nextA, a, lanes));
    }
  }
}

/** a += mean(g²), one for the row; w -= rate / (√a + epsilon) · g */
export function updateRowwiseAdagrad(rows: usize, n: u32, dim: u32, grads: usize, rate: f32, epsilon: f32): void {
  const width: usize = dim << 2;
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, width + 4);
    const weights = rowAt(rows, r) + ROW_HEADER_BYTES;
    const a = load<f32>(weights + width) + squareSum(gradients, width) / <f32>dim;
    store<f32>(weights + width, a);
    addScaled(weights, gradients, width, -rate / (sqrt<f32>(a) + epsilon));
  }
}

/**
 * m = beta1 · m + rest1 · g; v = beta2 · v + rest2 · g²; w -= rate · (m / u1) / (√(v / u2) + epsilon), after
 * w -= rate · decay · w. The corrections u = 1 − betaᵗ are of the row's own number of updates t, 1 at least.
 *
 * `corrections1` and `corrections2` are what `adamCorrections` wrote for the betas, with the lengths it returned.
 */
export function updateAdam(
  rows: usize,
  n: u32,
  dim: u32,
  grads: usize,
  rate: f32,
  beta1: f32,
  beta2: f32,
  rest1: f32,
  rest2: f32,
  epsilon: f32,
  decay: f32,
  corrections1: usize,
  length1: u32,
  corrections2: usize,
  length2: u32,
): void {
  const width: usize = dim << 2;
  const c = f32x4.splat(-rate);
  const shrink = f32x4.splat(decay > 0 ? -rate * decay : 0);
  const b1 = f32x4.splat(beta1);
  const b2 = f32x4.splat(beta2);
  const r1 = f32x4.splat(rest1);
  const r2 = f32x4.splat(rest2);
  const eps = f32x4.splat(epsilon);
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, 3 * width);
    const row = rowAt(rows, r);
    const weights = row + ROW_HEADER_BYTES;
    const updates = load<u32>(row, UPDATES);
    const u1 = f32x4.splat(correction(updates, beta1, corrections1, length1));
    const u2 = f32x4.splat(correction(updates, beta2, corrections2, length2));
    for (let i: usize = 0; i < width; i += 16) {
      const at = weights + i;
      const lanes = lanesOf(width - i);
      const g = v128.load(gradients + i);
      const w = v128.load(at);
      const m = v128.load(at + width);
      const v = v128.load(at + 2 * width);
      const nextM = f32x4.add(f32x4.mul(m, b1), f32x4.mul(g, r1));
      const nextV = f32x4.add(f32x4.mul(v, b2), f32x4.mul(f32x4.mul(g, g), r2));
      const direction = f32x4.div(f32x4.div(nextM, u1), f32x4.add(f32x4.sqrt(f32x4.div(nextV, u2)), eps));
      const shrunk = decay > 0 ? f32x4.add(f32x4.mul(shrink, w), w) : w;
      const nextW = f32x4.add(f32x4.mul(direction, c), shrunk);
      v128.store(at, v128.bitselect(nextW, w, lanes));
      v128.store(at + width, v128.bitselect(nextM, m, lanes));
      v128.store(at + 2 * width, v128.bitselect(nextV, v, lanes));
    }
  }
}

/**
 * Writes 1 − betaᵗ for t = 1, 2 … to `out`, until it is 1 or there are `max` of them, and returns how many there are.
 * The power is a product of float32 factors, as in TensorFlow.js.
 */
export function adamCorrections(beta: f32, out: usize, max: u32): u32 {
  let power: f32 = 1;
  for (let t: u32 = 0; t < max; t++) {
    power *= beta;
    store<f32>(out + (t << 2), 1 - power);
    if (1 - power == 1) return t + 1;
  }
  return max;
}

/** 1 − betaᵗ; beyond the table 1 if that is how it ends, else from a power in float64, by squaring. */
function correction(t: u32, beta: f32, table: usize, length: u32): f32 {
  if (t <= length) return load<f32>(table + ((t - 1) << 2));
  if (load<f32>(table + ((length - 1) << 2)) == 1) return 1;
  let power: f64 = 1;
  let square: f64 = beta;
  for (let left = t; left > 0; left >>= 1) {
    if ((left & 1) == 1) power *= square;
    square *= square;
  }
  return <f32>(1 - power);
}

/**
 * σ = (√(a + g²) − √a) / rate; z += g − σ · w; a += g²;
 * w = 0 where |z| ≤ l1, else −(z − sign(z) · l1) / ((beta + √a) / rate + l2). State: all z, then all a.
 */
export function updateFtrl(rows: usize, n: u32, dim: u32, grads: usize, rate: f32, beta: f32, l1: f32, l2: f32): void {
  const width: usize = dim << 2;
  const alpha = f32x4.splat(rate);
  const high = f32x4.splat(l1);
  const low = f32x4.splat(-l1);
  const ridge = f32x4.splat(l2);
  const offset = f32x4.splat(beta);
  const zero = f32x4.splat(0);
  let gradients = grads;
  for (let r: u32 = 0; r < n; r++, gradients += width) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, 3 * width);
    const weights = rowAt(rows, r) + ROW_HEADER_BYTES;
    for (let i: usize = 0; i < width; i += 16) {
      const at = weights + i;
      const lanes = lanesOf(width - i);
      const g = v128.load(gradients + i);
      const w = v128.load(at);
      const z = v128.load(at + width);
      const a = v128.load(at + 2 * width);
      const nextA = f32x4.add(a, f32x4.mul(g, g));
      const root = f32x4.sqrt(nextA);
      const sigma = f32x4.div(f32x4.sub(root, f32x4.sqrt(a)), alpha);
      const nextZ = f32x4.sub(f32x4.add(z, g), f32x4.mul(sigma, w));
      const above = v128.and(f32x4.sub(nextZ, high), f32x4.gt(nextZ, high));
      const below = v128.and(f32x4.add(nextZ, high), f32x4.lt(nextZ, low));
      const shrunk = v128.or(above, below);
      const scale = f32x4.add(f32x4.div(f32x4.add(offset, root), alpha), ridge);
      const learned = v128.bitselect(zero, f32x4.neg(f32x4.div(shrunk, scale)), f32x4.eq(shrunk, zero));
      const nextW = v128.bitselect(w, learned, f32x4.eq(scale, zero)); // 0: nothing to learn from yet
      v128.store(at, v128.bitselect(nextW, w, lanes));
      v128.store(at + width, v128.bitselect(nextZ, z, lanes));
      v128.store(at + 2 * width, v128.bitselect(nextA, a, lanes));
    }
  }
}

/** w += factor · g */
function addScaled(weights: usize, gradients: usize, width: usize, factor: f32): void {
  const c = f32x4.splat(factor);
  let at = weights;
  let from = gradients;
  for (const end = weights + (width & ~31); at < end; at += 32, from += 32) {
    const first = f32x4.add(f32x4.mul(c, v128.load(from)), v128.load(at));
    const second = f32x4.add(f32x4.mul(c, v128.load(from, 16)), v128.load(at, 16));
    v128.store(at, first);
    v128.store(at, second, 16);
  }
  for (const end = weights + width; at < end; at += 4, from += 4)
    store<f32>(at, factor * load<f32>(from) + load<f32>(at));
}

/** Σ g² in four sums, (l0 + l1) + (l2 + l3) with weight i in sum i mod 4. */
function squareSum(gradients: usize, width: usize): f32 {
  let sums = f32x4.splat(0);
  let from = gradients;
  for (const end = gradients + (width & ~15); from < end; from += 16) {
    const g = v128.load(from);
    sums = f32x4.add(sums, f32x4.mul(g, g));
  }
  const rest = v128.and(v128.load(from), lanesOf(width & 15));
  sums = f32x4.add(sums, f32x4.mul(rest, rest));
  const low = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1);
  return low + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
}

/** All lanes of four floats, or those before the end where fewer than 16 bytes are left. */
function lanesOf(bytesLeft: usize): v128 {
  return i32x4.lt_s(i32x4(0, 4, 8, 12), i32x4.splat(<i32>bytesLeft));
}
