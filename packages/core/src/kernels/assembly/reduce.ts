// Sums of gradients. Every sum is rounded to float32, in the order of the arguments.

/** to[i] += from[i], `n` floats. */
export function addFloats(to: usize, from: usize, n: u32): void {
  addInto(to, to, from, n);
}

/** values[i] *= factor, `n` floats. */
export function scaleFloats(values: usize, n: u32, factor: f32): void {
  const factors = f32x4.splat(factor);
  let at = values;
  for (const end = values + ((n & ~3) << 2); at < end; at += 16) v128.store(at, f32x4.mul(v128.load(at), factors));
  for (const end = values + (n << 2); at < end; at += 4) store<f32>(at, load<f32>(at) * factor);
}

/** out[i] = values[i] - sent[i], `n` floats; 0 where that is not finite. `out` may be either. */
export function lostFloats(values: usize, sent: usize, n: u32, out: usize): void {
  let at: usize = 0;
  for (const end = (n & ~3) << 2; at < end; at += 16) {
    const lost = f32x4.sub(v128.load(values + at), v128.load(sent + at));
    v128.store(out + at, v128.and(lost, f32x4.eq(f32x4.sub(lost, lost), f32x4.splat(0))));
  }
  for (const end = n << 2; at < end; at += 4) {
    const lost: f32 = load<f32>(values + at) - load<f32>(sent + at);
    store<f32>(out + at, lost - lost == 0 ? lost : 0);
  }
}

/** out[i] = a[i] + b[i], `n` floats; `out` may be `a`. */
export function addInto(out: usize, a: usize, b: usize, n: u32): void {
  let at: usize = 0;
  for (const end = (n & ~3) << 2; at < end; at += 16) {
    v128.store(out + at, f32x4.add(v128.load(a + at), v128.load(b + at)));
  }
  for (const end = n << 2; at < end; at += 4) store<f32>(out + at, load<f32>(a + at) + load<f32>(b + at));
}
