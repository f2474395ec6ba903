/**
 * What the conversion kernels must give, in plain TypeScript: each value is looked for among its two neighbours in
 * the smaller type, instead of by the bit tricks of the kernels.
 */

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** The float of these bits; a NaN may lose its payload on the way, so look at bits where that matters. */
export function floatOf(bits: number): number {
  words[0] = bits;
  return floats[0]!;
}

/** The bits of a float. */
export function bitsOf(value: number): number {
  floats[0] = value;
  return words[0]!;
}

/** The bfloat16 nearest to the float of these bits; a NaN keeps its sign and the upper half of its payload, quiet. */
export function bfloat16Of(bits: number): number {
  if (Number.isNaN(floatOf(bits))) return (bits >>> 16) | 0x0040;
  return nearest(bits, (bits & 0x7fffffff) >>> 16, (half) => bfloat16Value(half));
}

/**
 * One row as a block: scale f32 = (max − min) / 255, minimum f32, round((value − minimum) / scale) as bytes, which are
 * 0 where the scale is, as one below 2^-126 is too. A row that is not finite or too wide has the scale NaN and no more.
 */
export function int8Row(row: Float32Array): Uint8Array {
  const coded = new Uint8Array(8 + 4 * Math.ceil(row.length / 4));
  const view = new DataView(coded.buffer);
  const minimum = Math.min(...row) + 0;
  let scale = Math.fround(Math.fround(Math.max(...row) - minimum) / 255);
  if (!Number.isFinite(scale)) {
    view.setUint32(0, 0x7fc00000, true);
    return coded;
  }
  if (scale < 2 ** -126) scale = 0;
  view.setFloat32(0, scale, true);
  view.setFloat32(4, minimum, true);
  if (scale === 0) return coded;
  for (const [i, value] of row.entries()) {
    coded[8 + i] = roundedToEven(Math.fround(Math.fround(value - minimum) / scale));
  }
  return coded;
}

/** The `dim` values of a block. */
export function int8Values(block: Uint8Array, dim: number): Float32Array {
  const view = new DataView(block.buffer, block.byteOffset);
  const scale = view.getFloat32(0, true);
  const minimum = view.getFloat32(4, true);
  return Float32Array.from({ length: dim }, (_, i) => minimum + Math.fround(scale * view.getUint8(8 + i)));
}

/** What lies between the bits of the largest finite bfloat16 and infinity counts as if exponents went on. */
function bfloat16Value(half: number): number {
  return half === 0x7f80 ? 2 ** 128 : floatOf(half << 16);
}

/** `below` or the next one up, whichever is nearer to the float; the even one of two that are equally near. */
function nearest(bits: number, below: number, valueOf: (small: number) => number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = floatOf(bits & 0x7fffffff);
  if (size === Infinity) return sign | below;
  const down = size - valueOf(below);
  const up = valueOf(below + 1) - size;
  const even = below % 2 === 0 ? below : below + 1;
  return sign | (down === up ? even : down < up ? below : below + 1);
}

function roundedToEven(x: number): number {
  const below = Math.floor(x);
  if (x - below === 0.5) return below % 2 === 0 ? below : below + 1;
  return Math.round(x);
}
