// Checks of what came over the wire.

/** Are `n` floats from `values` on neither NaN nor infinite? 1 or 0. */
export function allFinite(values: usize, n: u32): i32 {
  let sum = f32x4.splat(0);
  let at = values;
  const end4 = values + ((n & ~3) << 2);
  for (; at < end4; at += 16) {
    const x = v128.load(at);
    sum = f32x4.add(sum, f32x4.sub(x, x)); // 0, or NaN for exactly those
  }
  let total =
    f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3);
  for (const end = values + (n << 2); at < end; at += 4) total += load<f32>(at) - load<f32>(at);
  return total == 0 ? 1 : 0;
}

/** The first of `n` keys (u32 pairs, low word first) that is not above the one before it, or -1. */
export function firstNotAscending(keys: usize, n: u32): i32 {
  if (n == 0) return -1;
  let before = load<u64>(keys);
  for (let i: u32 = 1; i < n; i++) {
    const key = load<u64>(keys + (i << 3));
    if (key <= before) return i;
    before = key;
  }
  return -1;
}
