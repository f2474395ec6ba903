/** MurmurHash3_x64_128 with seed 0 on BigInts, as its author's C++ reads. */

const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

/** The digest, 16 bytes. */
export function murmur3x64(bytes: Uint8Array): Uint8Array {
  let h1 = 0n;
  let h2 = 0n;
  const whole = bytes.length - (bytes.length % 16);
  for (let at = 0; at < whole; at += 16) {
    h1 ^= u64(rotated(u64(wordOf(bytes.subarray(at, at + 8)) * C1), 31n) * C2);
    h1 = u64(u64(rotated(h1, 27n) + h2) * 5n + 0x52dce729n);
    h2 ^= u64(rotated(u64(wordOf(bytes.subarray(at + 8, at + 16)) * C2), 33n) * C1);
    h2 = u64(u64(rotated(h2, 31n) + h1) * 5n + 0x38495ab5n);
  }
  h2 ^= u64(rotated(u64(wordOf(bytes.subarray(whole + 8)) * C2), 33n) * C1);
  h1 ^= u64(rotated(u64(wordOf(bytes.subarray(whole, whole + 8)) * C1), 31n) * C2);
  h1 ^= BigInt(bytes.length);
  h2 ^= BigInt(bytes.length);
  h1 = u64(h1 + h2);
  h2 = u64(h2 + h1);
  h1 = mixed(h1);
  h2 = mixed(h2);
  h1 = u64(h1 + h2);
  const digest = new Uint8Array(16);
  const view = new DataView(digest.buffer);
  view.setBigUint64(0, h1, true);
  view.setBigUint64(8, u64(h2 + h1), true);
  return digest;
}

/** Up to eight bytes, little-endian. */
function wordOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((word, byte) => (word << 8n) | BigInt(byte), 0n);
}

function mixed(x: bigint): bigint {
  let k = x;
  k = u64((k ^ (k >> 33n)) * 0xff51afd7ed558ccdn);
  k = u64((k ^ (k >> 33n)) * 0xc4ceb9fe1a85ec53n);
  return k ^ (k >> 33n);
}

function rotated(x: bigint, bits: bigint): bigint {
  return u64(x << bits) | (x >> (64n - bits));
}

function u64(x: bigint): bigint {
  return BigInt.asUintN(64, x);
}
