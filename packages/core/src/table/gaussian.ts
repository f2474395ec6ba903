/**
 * Normal deviates from random words by Box and Muller's transform (1958), in arithmetic that every engine does
 * alike (see portable-math.ts). Absolute error below 1e-14.
 *
 * The pair `radius(u) · cosTurn(v)`, `radius(u) · sinTurn(v)` are two independent deviates.
 */
import { cosNearZero, lnNearOne, sinNearZero } from "../portable-math.ts";

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
