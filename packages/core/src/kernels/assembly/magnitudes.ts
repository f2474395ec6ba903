// Magnitudes of floats, which are in the order of their bits: 31 of them, exponent first.

const MAGNITUDE: u32 = 0x7fff_ffff;
/** A bucket is the upper 12 of them. */
const SHIFT: u32 = 19;
const TABLE_BYTES: usize = 4 << 12;

/**
 * counts u32[4, 4096] += how many of `n` floats are in each bucket, in four tables whose sums count: neighbours are
 * often in one bucket, and a counter cannot be raised again before it is written.
 */
export function countMagnitudes(values: usize, n: u32, counts: usize): void {
  let at = values;
  for (const end = values + ((n & ~3) << 2); at < end; at += 16) {
    raise(counts, load<u32>(at));
    raise(counts + TABLE_BYTES, load<u32>(at, 4));
    raise(counts + 2 * TABLE_BYTES, load<u32>(at, 8));
    raise(counts + 3 * TABLE_BYTES, load<u32>(at, 12));
  }
  for (const end = values + (n << 2); at < end; at += 4) raise(counts, load<u32>(at));
}

/** out u32[…]: the places of those of `n` floats whose magnitude has bits of `least` or above, ascending; how many. */
export function placesFromMagnitude(values: usize, n: u32, least: u32, out: usize): u32 {
  const leasts = i32x4.splat(least);
  let to = out;
  let place: u32 = 0;
  for (; place < (n & ~3); place += 4) {
    const sizes = v128.and(v128.load(values + (place << 2)), i32x4.splat(MAGNITUDE));
    let mask = i32x4.bitmask(i32x4.ge_s(sizes, leasts));
    for (; mask != 0; mask &= mask - 1, to += 4) store<u32>(to, place + ctz(mask));
  }
  for (; place < n; place++) {
    if ((load<u32>(values + (place << 2)) & MAGNITUDE) < least) continue;
    store<u32>(to, place);
    to += 4;
  }
  return <u32>((to - out) >> 2);
}

function raise(counts: usize, bits: u32): void {
  const at = counts + (((bits & MAGNITUDE) >> SHIFT) << 2);
  store<u32>(at, load<u32>(at) + 1);
}
