/**
 * Threefry-4x32-20, a counter-based random generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC'11; Random123): 128 random bits that are a pure function of a 128-bit key and a 128-bit counter. There is no
 * sequence to be replayed, so any replica draws the value of any key at any time.
 */
const PARITY = 0x1bd11bda;

/** Rotations of rounds 0–3, then of rounds 4–7; the pattern repeats. */
const ROTATIONS = new Uint8Array([10, 26, 11, 21, 13, 27, 23, 5, 6, 20, 17, 11, 25, 10, 18, 20]);

/**
 * Writes four random u32 words to `out[0..3]`.
 *
 * @param key four u32 words
 * @param c0 the four words of the counter, u32 or i32
 */
export function threefry(out: Uint32Array, key: Uint32Array, c0: number, c1: number, c2: number, c3: number): void {
  let k0 = key[0]! | 0;
  let k1 = key[1]! | 0;
  let k2 = key[2]! | 0;
  let k3 = key[3]! | 0;
  let k4 = PARITY ^ k0 ^ k1 ^ k2 ^ k3;
  let x0 = (c0 + k0) | 0;
  let x1 = (c1 + k1) | 0;
  let x2 = (c2 + k2) | 0;
  let x3 = (c3 + k3) | 0;
  for (let injection = 1; injection <= 5; injection++) {
    const r = injection % 2 === 1 ? 0 : 8;
    x0 = (x0 + x1) | 0;
    x1 = rotate(x1, ROTATIONS[r]!) ^ x0;
    x2 = (x2 + x3) | 0;
    x3 = rotate(x3, ROTATIONS[r + 1]!) ^ x2;
    x0 = (x0 + x3) | 0;
    x3 = rotate(x3, ROTATIONS[r + 2]!) ^ x0;
    x2 = (x2 + x1) | 0;
    x1 = rotate(x1, ROTATIONS[r + 3]!) ^ x2;
    x0 = (x0 + x1) | 0;
    x1 = rotate(x1, ROTATIONS[r + 4]!) ^ x0;
    x2 = (x2 + x3) | 0;
    x3 = rotate(x3, ROTATIONS[r + 5]!) ^ x2;
    x0 = (x0 + x3) | 0;
    x3 = rotate(x3, ROTATIONS[r + 6]!) ^ x0;
    x2 = (x2 + x1) | 0;
    x1 = rotate(x1, ROTATIONS[r + 7]!) ^ x2;

    const first = k0;
    k0 = k1;
    k1 = k2;
    k2 = k3;
    k3 = k4;
    k4 = first;
    x0 = (x0 + k0) | 0;
    x1 = (x1 + k1) | 0;
    x2 = (x2 + k2) | 0;
    x3 = (x3 + k3 + injection) | 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
