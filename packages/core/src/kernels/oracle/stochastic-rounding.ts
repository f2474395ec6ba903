/**
 * What rows of bfloat16 and int8 become when they are written after an update, in plain TypeScript: between its two
 * neighbours in the smaller type a weight goes up with the probability that keeps its mean.
 */
import { slotHash } from "../../hash.ts";
import { bitsOf, floatOf, int8Row } from "./convert.ts";

/** A number in [0, 1), a multiple of 2⁻¹⁶, for one component of one row after so many updates. */
export function chanceOf(key: bigint, updates: number, component: number): number {
  const seed = mix(slotHash(Number(key & 0xffffffffn), Number(key >> 32n)) + updates);
  return (mix(seed + Math.imul(component, 0x9e3779b9)) >>> 16) / 65_536;
}

/** The lower or the upper neighbour in bfloat16: the upper one where the chance reaches the part that is left. */
export function chancedBfloat16(weight: number, chance: number): number {
  const bits = bitsOf(weight);
  if (Number.isNaN(floatOf(bits))) return (bits >>> 16) | 0x0040;
  const left = (bits & 0xffff) / 65_536;
  return (bits >>> 16) + (left + chance >= 1 ? 1 : 0);
}

/** One row as a block; `chances` has one for each weight. */
export function chancedInt8Row(weights: Float32Array, chances: readonly number[]): Uint8Array {
  const block = int8Row(weights);
  const view = new DataView(block.buffer);
  const scale = view.getFloat32(0, true);
  const minimum = view.getFloat32(4, true);
  if (!(scale > 0 && scale < Infinity)) return block;
  for (const [i, weight] of weights.entries()) {
    const steps = Math.fround(Math.fround(weight - minimum) / scale);
    block[8 + i] = Math.min(255, Math.floor(Math.fround(steps + chances[i]!)));
  }
  return block;
}

/** As in hash.ts. */
function mix(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}
