/** Frames for tests, byte by byte: whatever is asked for, legal or not. */

export interface RawFrame {
  opcode: number;
  payload?: Uint8Array | string;
  fin?: boolean;
  /** Reserved bits of the first byte. */
  reserved?: number;
  /** Four bytes; none, and the frame is not masked. */
  mask?: readonly [number, number, number, number];
  /** Which of the three forms the length has; the shortest by default. */
  form?: 0 | 2 | 8;
  /** What the length says, if not the truth. */
  declared?: number;
}

export function rawFrame({
  opcode,
  payload = "",
  fin = true,
  reserved = 0,
  mask,
  form,
  declared,
}: RawFrame): Uint8Array {
  const body = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const length = declared ?? body.length;
  const bytes = form ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const masked = mask ? 0x80 : 0;
  const lengths =
    bytes === 0
      ? [masked | length]
      : [masked | (bytes === 2 ? 126 : 127), ...Array.from({ length: bytes }, (_, i) => byteOf(length, bytes - 1 - i))];
  return joined([
    Uint8Array.of((fin ? 0x80 : 0) | reserved | opcode, ...lengths, ...(mask ?? [])),
    mask ? body.map((byte, i) => byte ^ mask[i % 4]!) : body,
  ]);
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function byteOf(value: number, place: number): number {
  return Math.floor(value / 256 ** place) % 256;
}
