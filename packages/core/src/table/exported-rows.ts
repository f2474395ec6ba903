/** Rows as they leave a table for a snapshot: copies, with all that makes them up. */
import { CHUNK_ROWS, type Arena } from "./arena.ts";
import { DTYPE_CODES, LAST_STEP_AT, UPDATES_AT, type RowLayout } from "./row-layout.ts";

/** Floats of rows that are copied out at a time. */
const PART_FLOATS = 65_536;

/** A run of rows with all that makes them up; a snapshot is a series of these. */
export interface ExportedRows {
  /** Little-endian u32 pairs, in the order the rows' places were first used. Length 2N. */
  readonly keys: Uint32Array;
  /** [N, dim] */
  readonly weights: Float32Array;
  /** [N, stateWidth] */
  readonly states: Float32Array;
  /** Updates each row has had. */
  readonly updates: Uint32Array;
  /** The step that changed each row last. */
  readonly lastSteps: Uint32Array;
  /** The cursor to go on with, or undefined at the end. */
  readonly next: number | undefined;
}

/** Copies rows out of an arena, given their addresses, shape [N]. */
export function exportRows(
  rows: Uint32Array,
  { arena, layout, next }: { arena: Arena; layout: RowLayout; next: number | undefined },
): ExportedRows {
  const { words, floats } = arena;
  const { dim, stateWidth, stateAt } = layout;
  const N = rows.length;
  const keys = new Uint32Array(2 * N);
  const weights = new Float32Array(N * dim);
  const states = new Float32Array(N * stateWidth);
  const updates = new Uint32Array(N);
  const lastSteps = new Uint32Array(N);
  for (let i = 0; i < N; i++) {
    const word = rows[i]! / 4;
    keys[2 * i] = words[word]!;
    keys[2 * i + 1] = words[word + 1]!;
    updates[i] = words[word + UPDATES_AT / 4]!;
    lastSteps[i] = words[word + LAST_STEP_AT / 4]!;
    const state = word + stateAt / 4;
    for (let c = 0; c < stateWidth; c++) states[i * stateWidth + c] = floats[state + c]!;
  }
  copyWeights(rows, { arena, layout, weights });
  return { keys, weights, states, updates, lastSteps, next };
}

function copyWeights(
  rows: Uint32Array,
  { arena, layout, weights }: { arena: Arena; layout: RowLayout; weights: Float32Array },
): void {
  const { kernels, words, floats, chunkRows } = arena;
  const { dim, dtype } = layout;
  const partMax = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(PART_FLOATS / dim)));
  for (let from = 0; from < rows.length; from += partMax) {
    const part = rows.subarray(from, from + partMax);
    const out = arena.rowScratch(4 * dim * part.length);
    words.set(part, chunkRows / 4);
    kernels.rowsRead(chunkRows, part.length, dim, DTYPE_CODES[dtype], out);
    weights.set(floats.subarray(out / 4, out / 4 + part.length * dim), from * dim);
  }
}
