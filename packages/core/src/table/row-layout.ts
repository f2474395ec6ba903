/**
 * How a row lies in memory, from an address that is a multiple of 8 on:
 *
 *     +0   key, low word and high word      u32 × 2
 *     +8   updates: how many it has had     u32
 *     +12  last step that changed it        u32, FREE in a row that nobody owns
 *     +16  weights                          f32 × dim, or bf16 × dim, or scale f32, minimum f32, u8 × dim
 *     …    optimizer state                  f32 × stateWidth, from a multiple of 4 on
 *
 * The key lies with the row, so a look-up that finds it has touched what it is about to read; the index beside it is
 * 4 bytes a slot.
 */
export type RowDtype = "float32" | "bfloat16" | "int8";

/** What kernels call the dtypes. */
export const DTYPE_CODES = { float32: 0, bfloat16: 1, int8: 2 } as const satisfies Record<RowDtype, number>;

export const ROW_HEADER_BYTES = 16;
export const UPDATES_AT = 8;
export const LAST_STEP_AT = 12;
/** In place of the last step: the row is not in use; its first word is then the address of the next one. */
export const FREE = 0xffff_ffff;

export interface RowLayout {
  readonly dtype: RowDtype;
  readonly dim: number;
  readonly stateWidth: number;
  /** From the row's address to its state. */
  readonly stateAt: number;
  /** From one row to the next: a multiple of 8. */
  readonly stride: number;
}

export function rowLayout(o: { dtype: RowDtype; dim: number; stateWidth: number }): RowLayout {
  const stateAt = ROW_HEADER_BYTES + weightsBytes(o.dtype, o.dim);
  return { ...o, stateAt, stride: roundedUp(stateAt + 4 * o.stateWidth, 8) };
}

/**
 * Bytes of the weights of one row as a reply carries them: like those in a row, but an odd number of bfloat16 is not
 * padded.
 */
export function valueBytes(dtype: RowDtype, dim: number): number {
  return dtype === "bfloat16" ? 2 * dim : weightsBytes(dtype, dim);
}

/** Bytes of the weights in a row: a multiple of 4. */
export function weightsBytes(dtype: RowDtype, dim: number): number {
  switch (dtype) {
    case "float32":
      return 4 * dim;
    case "bfloat16":
      return roundedUp(2 * dim, 4);
    case "int8":
      return 8 + roundedUp(dim, 4);
    default:
      return dtype satisfies never;
  }
}

function roundedUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}

/** The word that a row begins at, of its address with or without marks in the low bits. */
export function wordOfRow(address: number): number {
  return (address >>> 3) * 2;
}
