/**
 * Elementary functions in arithmetic that every engine does alike: IEEE 754 fixes + − × ÷ √, while `Math.log`,
 * `Math.exp`, `Math.sin` and `Math.cos` differ in their last bits between engines and even between versions of V8,
 * and replicas must agree to the bit.
 */

const LN2 = 0.6931471805599453;
const PI = 3.141592653589793;

/** cos(π · x) for x in [0, 1], to 1e-15. */
export function cosOfPi(x: number): number {
  if (x > 0.75) return -cosNearZero(PI * (1 - x));
  return x > 0.25 ? sinNearZero(PI * (0.5 - x)) : cosNearZero(PI * x);
}

/**
 * baseᵉ for base ≥ 0 and e ≥ 0, to a relative 1e-15 · (1 + |ln baseᵉ|) where it is not too small for a double: the
 * logarithm is rounded before it is raised. 0⁰ is 1.
 */
export function power(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  return base === 0 ? 0 : exp(exponent * ln(base));
}

/** ln x for finite x > 0. */
function ln(x: number): number {
  let mantissa = x;
  let exponent = 0;
  for (; mantissa > Math.SQRT2; mantissa /= 2) exponent += 1;
  for (; mantissa < Math.SQRT1_2; mantissa *= 2) exponent -= 1;
  return exponent * LN2 + lnNearOne(mantissa);
}

/** eˣ: 2ᵏ · eʳ with |r| ≤ ½ ln 2, eʳ by its Taylor series. */
function exp(x: number): number {
  const k = Math.round(x / LN2);
  if (k < -1080) return 0;
  if (k > 1024) return Infinity;
  const r = x - k * LN2;
  let sum = 1;
  for (let i = 16; i >= 1; i--) sum = 1 + (r * sum) / i;
  for (let left = k; left > 0; left--) sum *= 2;
  for (let left = k; left < 0; left++) sum /= 2;
  return sum;
}

/** ln x for x in [√½, √2]: 2 artanh s, s = (x − 1) / (x + 1), |s| ≤ 0.172, by its Taylor series. */
export function lnNearOne(x: number): number {
  const s = (x - 1) / (x + 1);
  const q = s * s;
  const low = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9))));
  const high = 1 / 11 + q * (1 / 13 + q * (1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21)))));
  const q2 = q * q;
  return 2 * s * (low + q2 * q2 * q * high);
}

/** sin x for |x| ≤ π/4, by its Taylor series. */
export function sinNearZero(x: number): number {
  const q = x * x;
  const high = 1 / 362880 - q * (1 / 39916800 - q * (1 / 6227020800 - q * (1 / 1307674368000)));
  return x * (1 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * high))));
}

/** cos x for |x| ≤ π/4, by its Taylor series. */
export function cosNearZero(x: number): number {
  const q = x * x;
  const high = 1 / 40320 - q * (1 / 3628800 - q * (1 / 479001600 - q * (1 / 87178291200 - q * (1 / 20922789888000))));
  return 1 - q * (1 / 2 - q * (1 / 24 - q * (1 / 720 - q * high)));
}
