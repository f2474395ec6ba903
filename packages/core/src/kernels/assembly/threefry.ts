// First values of rows: Threefry-4x32-20 (Salmon et al., SC'11), as in `../../table/threefry.ts`, four blocks at once.
// A vector holds the same word of four blocks, whose counters follow each other.

const PARITY: u32 = 0x1bd1_1bda;
/** Sets this use of the generator apart, as in `../../table/initializer.ts`. */
const STREAM: u32 = 0x726f_7773;

/** Writes the first `dim` weights of the key at `key`: min + scale · word in float64, then rounded to float32. */
export function drawUniform(key: usize, dim: u32, seed: u32, table: u32, min: f64, scale: f64, out: usize): void {
  const lo = v128.load32_splat(key);
  const hi = v128.load32_splat(key, 4);
  for (let c: u32 = 0; c < dim; c += 16) {
    let k0 = i32x4.splat(seed);
    let k1 = i32x4.splat(table);
    let k2 = i32x4.splat(STREAM);
    let k3 = i32x4.splat(0);
    let k4 = i32x4.splat(PARITY ^ seed ^ table ^ STREAM);
    let x0 = i32x4.add(i32x4.add(i32x4.splat(c >> 2), i32x4(0, 1, 2, 3)), k0);
    let x1 = k1; // the second word of the counter is 0
    let x2 = i32x4.add(lo, k2);
    let x3 = i32x4.add(hi, k3);
    // Twenty rounds; four words of the key go round five and are added after every fourth.
    for (let injection = 1; true; injection += 2) {
      x0 = i32x4.add(x0, x1);
      x1 = v128.xor(rotate(x1, 10), x0);
      x2 = i32x4.add(x2, x3);
      x3 = v128.xor(rotate(x3, 26), x2);
      x0 = i32x4.add(x0, x3);
      x3 = v128.xor(rotate(x3, 11), x0);
      x2 = i32x4.add(x2, x1);
      x1 = v128.xor(rotate(x1, 21), x2);
      x0 = i32x4.add(x0, x1);
      x1 = v128.xor(rotate(x1, 13), x0);
      x2 = i32x4.add(x2, x3);
      x3 = v128.xor(rotate(x3, 27), x2);
      x0 = i32x4.add(x0, x3);
      x3 = v128.xor(rotate(x3, 23), x0);
      x2 = i32x4.add(x2, x1);
      x1 = v128.xor(rotate(x1, 5), x2);
      x0 = i32x4.add(x0, k1);
      x1 = i32x4.add(x1, k2);
      x2 = i32x4.add(x2, k3);
      x3 = i32x4.add(x3, i32x4.add(k4, i32x4.splat(injection)));
      if (injection == 5) break;

      x0 = i32x4.add(x0, x1);
      x1 = v128.xor(rotate(x1, 6), x0);
      x2 = i32x4.add(x2, x3);
      x3 = v128.xor(rotate(x3, 20), x2);
      x0 = i32x4.add(x0, x3);
      x3 = v128.xor(rotate(x3, 17), x0);
      x2 = i32x4.add(x2, x1);
      x1 = v128.xor(rotate(x1, 11), x2);
      x0 = i32x4.add(x0, x1);
      x1 = v128.xor(rotate(x1, 25), x0);
      x2 = i32x4.add(x2, x3);
      x3 = v128.xor(rotate(x3, 10), x2);
      x0 = i32x4.add(x0, x3);
      x3 = v128.xor(rotate(x3, 18), x0);
      x2 = i32x4.add(x2, x1);
      x1 = v128.xor(rotate(x1, 20), x2);
      x0 = i32x4.add(x0, k2);
      x1 = i32x4.add(x1, k3);
      x2 = i32x4.add(x2, k4);
      x3 = i32x4.add(x3, i32x4.add(k0, i32x4.splat(injection + 1)));

      const first = k0;
      const second = k1;
      k0 = k2;
      k1 = k3;
      k2 = k4;
      k3 = first;
      k4 = second;
    }
    // From words of four blocks to four words of each.
    const low01 = v128.shuffle<i32>(x0, x1, 0, 4, 1, 5);
    const low23 = v128.shuffle<i32>(x2, x3, 0, 4, 1, 5);
    const high01 = v128.shuffle<i32>(x0, x1, 2, 6, 3, 7);
    const high23 = v128.shuffle<i32>(x2, x3, 2, 6, 3, 7);
    storeUniform(v128.shuffle<i32>(low01, low23, 0, 1, 4, 5), min, scale, out, c, dim);
    storeUniform(v128.shuffle<i32>(low01, low23, 2, 3, 6, 7), min, scale, out, c + 4, dim);
    storeUniform(v128.shuffle<i32>(high01, high23, 0, 1, 4, 5), min, scale, out, c + 8, dim);
    storeUniform(v128.shuffle<i32>(high01, high23, 2, 3, 6, 7), min, scale, out, c + 12, dim);
  }
}

/** Components c … c + 3 of one block's words, as far as there are so many. */
function storeUniform(words: v128, min: f64, scale: f64, out: usize, c: u32, dim: u32): void {
  const factor = f64x2.splat(scale);
  const base = f64x2.splat(min);
  const low = f64x2.add(base, f64x2.mul(factor, f64x2.convert_low_i32x4_u(words)));
  const upper = v128.shuffle<i32>(words, words, 2, 3, 0, 1);
  const high = f64x2.add(base, f64x2.mul(factor, f64x2.convert_low_i32x4_u(upper)));
  const four = v128.shuffle<i32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
  const to = out + (c << 2);
  if (c + 4 <= dim) {
    v128.store(to, four);
    return;
  }
  if (c < dim) v128.store32_lane(to, four, 0);
  if (c + 1 < dim) v128.store32_lane(to, four, 1, 4);
  if (c + 2 < dim) v128.store32_lane(to, four, 2, 8);
}

function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}
