/**
 * Normal deviates from random words by Box and Muller's transform (1958), in arithmetic that every engine does
 * alike: IEEE 754 fixes + − × ÷ √, while `Math.log`, `Math.sin` and `Math.cos` differ in their last bits between
 * engines and even between versions of V8, and replicas must agree to the bit. Absolute error below 1e-14.
 *
 * The pair `radius(u) · cosTurn(v)`, `radius(u) · sinTurn(v)` are two independent deviates.
 */

/** √(−2 ln x) with x = (u + 1) / 2³², in (0, 1]. At most 6.67. */
export function radius(u: number): number {
  const n = (u >>> 0) + 1;
  if (n > 0xffffffff) return 0;
  let exponent = 31 - Math.clz32(n);
  let mantissa = n / ((1 << exponent) >>> 0); // [1, 2)
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  return Math.sqrt(-2 * ((exponent - 32) * LN2 + lnNearOne(mantissa)));
}

/** cos of v / 2³² of a turn. */
export function cosTurn(v: number): number {
  return sinTurn((v + 0x40000000) >>> 0);
}

/** sin of v / 2³² of a turn. */
export function sinTurn(v: number): number {
  const quarter = ((v + 0x20000000) >>> 30) & 3; // nearest multiple of a quarter turn
  const angle = ((v - (quarter << 30)) | 0) * RADIANS; // within ±π/4 of it
  const value = (quarter & 1) === 0 ? sinNearZero(angle) : cosNearZero(angle);
  return quarter < 2 ? value : -value;
}

const LN2 = 0.6931471805599453;
const RADIANS = (2 * 3.141592653589793) / 0x100000000;

/** ln x for x in [√½, √2]: 2 artanh s, s = (x − 1) / (x + 1), |s| ≤ 0.172, by its Taylor series. */
function lnNearOne(x: number): number {
  const s = (x - 1) / (x + 1);
  const q = s * s;
  const low = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9))));
  const high = 1 / 11 + q * (1 / 13 + q * (1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21)))));
  const q2 = q * q;
  return 2 * s * (low + q2 * q2 * q * high);
}

/** sin x for |x| ≤ π/4, by its Taylor series. */
function sinNearZero(x: number): number {
  const q = x * x;
  const high = 1 / 362880 - q * (1 / 39916800 - q * (1 / 6227020800 - q * (1 / 1307674368000)));
  return x * (1 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * high))));
}

/** cos x for |x| ≤ π/4, by its Taylor series. */
function cosNearZero(x: number): number {
  const q = x * x;
  const high = 1 / 40320 - q * (1 / 3628800 - q * (1 / 479001600 - q * (1 / 87178291200 - q * (1 / 20922789888000))));
  return 1 - q * (1 / 2 - q * (1 / 24 - q * (1 / 720 - q * high)));
}
