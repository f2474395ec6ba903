// Weights rounded up or down by chance, with a mean that is the weight: an update that is smaller than half a step of
// bfloat16 or int8 then counts with its probability instead of being lost each time (Gupta et al., "Deep learning with
// limited numerical precision", ICML 2015; FBGEMM's tables of half precision do the same).
//
// The chance is a hash of key, number of updates and component, so replicas and replays round alike. Component c adds
// the 16 bits  mix(seed + c · 0x9e3779b9) >> 16  with  seed = mix(slotHash(key) + updates).

import { toInt8Rows } from "./convert";
import { mix, mixFour, slotHash } from "./table";

const GOLDEN: u32 = 0x9e37_79b9;

/** The seed of one row's chances. */
export function roundingSeed(lo: u32, hi: u32, updates: u32): u32 {
  return mix(slotHash(lo, hi) + updates);
}

/** out u16[dim]: the upper halves of weights with 16 random bits added to the lower ones; a NaN stays one, quiet. */
export function roundToBfloat16(values: usize, dim: u32, seed: u32, out: usize): void {
  for (let c: u32 = 0; c < dim; c += 4) {
    const x = v128.load(values + (c << 2));
    const rounded = i32x4.shr_u(i32x4.add(x, chances(seed, c)), 16);
    const quiet = v128.or(i32x4.shr_u(x, 16), i32x4.splat(0x0040));
    const halves = v128.bitselect(quiet, rounded, f32x4.ne(x, x));
    let four: u64 = i64x2.extract_lane(i16x8.narrow_i32x4_u(halves, halves), 0);
    const to = out + (c << 1);
    if (dim - c >= 4) store<u64>(to, four);
    else {
      for (let at = to, end = out + (dim << 1); at < end; at += 2, four >>= 16) store<u16>(at, <u16>four);
    }
  }
}

/** As `toInt8Rows` writes one row, but each byte ⌊(value − minimum) / scale + chance / 2¹⁶⌋, at most 255. */
export function roundToInt8Row(values: usize, dim: u32, seed: u32, out: usize): void {
  toInt8Rows(values, 1, dim, out);
  const scale = load<f32>(out);
  const minimum = v128.load32_splat(out, 4);
  if (!(scale > 0 && scale < Infinity)) return;
  const divisor = f32x4.splat(scale);
  const unit = f32x4.splat(1.0 / 65_536);
  for (let c: u32 = 0; c < dim; c += 4) {
    const steps = f32x4.div(f32x4.sub(v128.load(values + (c << 2)), minimum), divisor);
    const chance = f32x4.mul(f32x4.convert_i32x4_s(chances(seed, c)), unit);
    const words = i32x4.trunc_sat_f32x4_s(f32x4.add(steps, chance));
    const shorts = i16x8.narrow_i32x4_s(words, words);
    const four = i32x4.extract_lane(i8x16.narrow_i16x8_u(shorts, shorts), 0);
    const left = dim - c;
    store<u32>(out + 8 + c, left >= 4 ? four : four & ((1 << (left << 3)) - 1));
  }
}

/** 16 random bits for each of components c … c + 3. */
function chances(seed: u32, c: u32): v128 {
  const first = i32x4.splat(seed + c * GOLDEN);
  return i32x4.shr_u(mixFour(i32x4.add(first, i32x4(0, GOLDEN, 2 * GOLDEN, 3 * GOLDEN))), 16);
}
