// float32 to smaller values and back. All rounding is to nearest, ties to even; a NaN stays a NaN, made quiet.
// Tails go through the same lanes as the rest, so that each formula stands here once.

const BF16_QUIET: i32 = 0x0040;
const FLOAT_INFINITY: i32 = 0x7f80_0000;
const FLOAT_NAN: u32 = 0x7fc0_0000;

/** out u16[n]: the upper halves of `n` floats, rounded. */
export function toBfloat16(values: usize, n: u32, out: usize): void {
  let at = values;
  let to = out;
  for (const end = values + ((n & ~7) << 2); at < end; at += 32, to += 16) {
    const x = v128.load(at);
    const y = v128.load(at, 16);
    let halves = i16x8.narrow_i32x4_u(roundedLanes(x), roundedLanes(y));
    // NaN is rare: to ask for it once takes 0.7 of the time of telling it apart in every lane.
    if (v128.any_true(v128.or(f32x4.ne(x, x), f32x4.ne(y, y)))) {
      halves = i16x8.narrow_i32x4_u(bfloat16Lanes(x), bfloat16Lanes(y));
    }
    v128.store(to, halves);
  }
  for (const end = values + (n << 2); at < end; at += 4, to += 2) {
    store<u16>(to, <u16>i32x4.extract_lane(bfloat16Lanes(v128.load32_zero(at)), 0));
  }
}

/** out f32[n] of `n` bfloat16s: exact. */
export function fromBfloat16(values: usize, n: u32, out: usize): void {
  let at = values;
  let to = out;
  for (const end = values + ((n & ~7) << 1); at < end; at += 16, to += 32) {
    const x = v128.load(at);
    v128.store(to, i32x4.shl(i32x4.extend_low_i16x8_u(x), 16));
    v128.store(to, i32x4.shl(i32x4.extend_high_i16x8_u(x), 16), 16);
  }
  for (const end = values + (n << 1); at < end; at += 2, to += 4) store<u32>(to, (<u32>load<u16>(at)) << 16);
}

/**
 * Writes `rows` rows of `dim` floats as blocks: scale f32 = (max − min) / 255, minimum f32, then a byte for each
 * value, round((value − minimum) / scale), and zeros up to a multiple of 4. Scales below 2^-126 count as 0, and then
 * all bytes are 0. A row that is not finite, or wider than floats reach, has the scale NaN and no more.
 */
export function toInt8Rows(values: usize, rows: u32, dim: u32, out: usize): void {
  let from = values;
  let to = out;
  for (let row: u32 = 0; row < rows; row++) {
    toInt8Row(from, dim, to);
    from += dim << 2;
    to += int8RowBytes(dim);
  }
}

/** out f32[rows, dim] of the blocks that `toInt8Rows` writes: minimum + scale · byte, both rounded to float32. */
export function fromInt8Rows(blocks: usize, rows: u32, dim: u32, out: usize): void {
  let from = blocks;
  let to = out;
  for (let row: u32 = 0; row < rows; row++) {
    fromInt8Row(from, dim, to);
    from += int8RowBytes(dim);
    to += dim << 2;
  }
}

function int8RowBytes(dim: u32): u32 {
  return 8 + ((dim + 3) & ~3);
}

function toInt8Row(values: usize, dim: u32, out: usize): void {
  const scale = int8Range(values, dim, out);
  if (scale > 0) int8Bytes(values, dim, scale, load<f32>(out, 4), out + 8);
  else memory.fill(out + 8, 0, (dim + 3) & ~3);
}

/** Writes a row's scale and minimum to `out`, and returns the scale. */
function int8Range(values: usize, dim: u32, out: usize): f32 {
  const end = values + (dim << 2);
  const end4 = values + ((dim & ~3) << 2);
  const end16 = values + ((dim & ~15) << 2);
  // pmin and pmax are one instruction each, min and max many: this and the rounding by addition below halved the time
  // of a row of 64. But they pass over NaN, so the largest |x| is looked for too, as bits.
  let lows = v128.load32_splat(values);
  let highs = lows;
  let sizes = sizeLanes(lows);
  let at = values;
  for (; at < end16; at += 64) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    lows = f32x4.pmin(lows, f32x4.pmin(f32x4.pmin(a, b), f32x4.pmin(c, d)));
    highs = f32x4.pmax(highs, f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
    const ab = i32x4.max_s(sizeLanes(a), sizeLanes(b));
    sizes = i32x4.max_s(sizes, i32x4.max_s(ab, i32x4.max_s(sizeLanes(c), sizeLanes(d))));
  }
  for (; at < end4; at += 16) {
    const x = v128.load(at);
    lows = f32x4.pmin(lows, x);
    highs = f32x4.pmax(highs, x);
    sizes = i32x4.max_s(sizes, sizeLanes(x));
  }
  for (; at < end; at += 4) {
    const x = v128.load32_splat(at);
    lows = f32x4.pmin(lows, x);
    highs = f32x4.pmax(highs, x);
    sizes = i32x4.max_s(sizes, sizeLanes(x));
  }
  const finite = !v128.any_true(i32x4.ge_s(sizes, i32x4.splat(FLOAT_INFINITY)));
  lows = f32x4.pmin(lows, halvesSwapped(lows));
  lows = f32x4.pmin(lows, neighboursSwapped(lows));
  highs = f32x4.pmax(highs, halvesSwapped(highs));
  highs = f32x4.pmax(highs, neighboursSwapped(highs));
  // 0 is added so that a minimum of -0 is 0 wherever it was found.
  const minimum = f32x4.extract_lane(lows, 0) + 0;
  const scale: f32 = (f32x4.extract_lane(highs, 0) - minimum) / 255;
  if (!finite || scale == Infinity) {
    store<u32>(out, FLOAT_NAN);
    store<f32>(out, 0, 4);
    return NaN;
  }
  store<f32>(out, scale < f32.MIN_NORMAL_VALUE ? 0 : scale);
  store<f32>(out, minimum, 4);
  return load<f32>(out);
}

/** Writes a row's bytes, padded with zeros, to `out`. */
function int8Bytes(values: usize, dim: u32, scale: f32, minimum: f32, out: usize): void {
  const end = values + (dim << 2);
  const end4 = values + ((dim & ~3) << 2);
  const end16 = values + ((dim & ~15) << 2);
  const scales = f32x4.splat(scale);
  const minimums = f32x4.splat(minimum);
  let at = values;
  let to = out;
  for (; at < end16; at += 64, to += 16) {
    const a = int8Lanes(v128.load(at), minimums, scales);
    const b = int8Lanes(v128.load(at, 16), minimums, scales);
    const c = int8Lanes(v128.load(at, 32), minimums, scales);
    const d = int8Lanes(v128.load(at, 48), minimums, scales);
    v128.store(to, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d)));
  }
  for (; at < end4; at += 16, to += 4) {
    const a = int8Lanes(v128.load(at), minimums, scales);
    const shorts = i16x8.narrow_i32x4_u(a, a);
    v128.store32_lane(to, i8x16.narrow_i16x8_u(shorts, shorts), 0);
  }
  if (at == end) return;
  store<u32>(to, 0);
  for (; at < end; at += 4, to += 1) v128.store8_lane(to, int8Lanes(v128.load32_splat(at), minimums, scales), 0);
}

function fromInt8Row(block: usize, dim: u32, out: usize): void {
  const scale = v128.load32_splat(block);
  const minimum = v128.load32_splat(block, 4);
  let at = block + 8;
  let to = out;
  for (const end = out + ((dim & ~7) << 2); to < end; at += 8, to += 32) {
    const bytes = v128.load8x8_u(at);
    const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(bytes));
    const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(bytes));
    v128.store(to, f32x4.add(minimum, f32x4.mul(scale, low)));
    v128.store(to, f32x4.add(minimum, f32x4.mul(scale, high)), 16);
  }
  for (const end = out + (dim << 2); to < end; at += 1, to += 4) {
    store<f32>(to, f32x4.extract_lane(minimum, 0) + f32x4.extract_lane(scale, 0) * <f32>load<u8>(at));
  }
}

function halvesSwapped(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}

function neighboursSwapped(x: v128): v128 {
  return i8x16.shuffle(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}

/** |x| as bits, which are in the order of the values, NaN above all. */
function sizeLanes(x: v128): v128 {
  return v128.and(x, i32x4.splat(0x7fff_ffff));
}

/** round((x − minimum) / scale), 0 to 255: where a float's last bit is 1, as from 2^23 on, adding rounds to nearest even. */
function int8Lanes(x: v128, minimum: v128, scale: v128): v128 {
  const steps = f32x4.div(f32x4.sub(x, minimum), scale);
  return v128.and(f32x4.add(steps, f32x4.splat(8_388_608)), i32x4.splat(0xff));
}

function bfloat16Lanes(x: v128): v128 {
  const quiet = v128.or(i32x4.shr_u(x, 16), i32x4.splat(BF16_QUIET));
  return v128.bitselect(quiet, roundedLanes(x), f32x4.ne(x, x));
}

/** bfloat16s of what is not NaN. */
function roundedLanes(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
}
