// MurmurHash3_x64_128 with seed 0 (Austin Appleby, 2011, public domain,
// https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp): 128 bits that name bytes.
// A state is the two 64-bit halves; the digest takes its place. All is little-endian.

const C1: u64 = 0x87c37b91114253d5;
const C2: u64 = 0x4cf5ad432745937f;

/** Writes the digest of `bytes` bytes to out[0…16). */
export function hash128(at: usize, bytes: u32, out: usize): void {
  store<u64>(out, 0);
  store<u64>(out, 0, 8);
  hash128Blocks(at, bytes & ~15, out);
  hash128Finish(at + (bytes & ~15), bytes & 15, bytes, out);
}

/** Takes `bytes` bytes, a multiple of 16, into the state. */
export function hash128Blocks(at: usize, bytes: u32, state: usize): void {
  let h1 = load<u64>(state);
  let h2 = load<u64>(state, 8);
  for (const end = at + bytes; at < end; at += 16) {
    h1 ^= scrambleFirst(load<u64>(at));
    h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= scrambleSecond(load<u64>(at, 8));
    h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }
  store<u64>(state, h1);
  store<u64>(state, h2, 8);
}

/** Takes the last `tail` bytes, fewer than 16, of `bytes` in all, and makes the state the digest. */
export function hash128Finish(at: usize, tail: u32, bytes: u32, state: usize): void {
  let h1 = load<u64>(state);
  let h2 = load<u64>(state, 8);
  if (tail > 8) h2 ^= scrambleSecond(tailWord(at + 8, tail - 8));
  if (tail > 0) h1 ^= scrambleFirst(tailWord(at, min(tail, 8)));
  h1 ^= bytes;
  h2 ^= bytes;
  h1 += h2;
  h2 += h1;
  h1 = mix(h1);
  h2 = mix(h2);
  h1 += h2;
  store<u64>(state, h1);
  store<u64>(state, h2 + h1, 8);
}

/** `bytes` bytes, 1 to 8, as a word. */
function tailWord(at: usize, bytes: u32): u64 {
  let word: u64 = 0;
  for (let i: u32 = 0; i < bytes; i++) word |= (<u64>load<u8>(at + i)) << (<u64>(8 * i));
  return word;
}

function scrambleFirst(k: u64): u64 {
  return rotl(k * C1, 31) * C2;
}

function scrambleSecond(k: u64): u64 {
  return rotl(k * C2, 33) * C1;
}

function mix(x: u64): u64 {
  let k = x;
  k = (k ^ (k >> 33)) * 0xff51afd7ed558ccd;
  k = (k ^ (k >> 33)) * 0xc4ceb9fe1a85ec53;
  return k ^ (k >> 33);
}
