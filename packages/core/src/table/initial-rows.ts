/**
 * First weights and state of rows in an arena. What a read of a key without a row gives is what its row will begin
 * with: rounded, too, where rows are not float32.
 */
import { optimizerOf, type Optimizer } from "../optimizer/index.ts";
import type { Arena } from "./arena.ts";
import { initializerOf } from "./initializer.ts";
import { DTYPE_CODES, ROW_HEADER_BYTES, valueBytes, wordOfRow, type RowDtype, type RowLayout } from "./row-layout.ts";
import type { TableSpec } from "./table-spec.ts";

/** Writes the first weights of the key at an address to `out`, as floats. */
type Draw = (key: number, out: number) => void;

export class InitialRows {
  readonly #draw: Draw;
  readonly #optimizer: Optimizer;
  readonly #layout: RowLayout;
  readonly #arena: Arena;

  constructor(spec: TableSpec, { seed, layout, arena }: { seed: number; layout: RowLayout; arena: Arena }) {
    this.#draw = drawOf(spec, { seed, arena });
    this.#optimizer = optimizerOf(spec.optimizer);
    this.#layout = layout;
    this.#arena = arena;
  }

  /** Writes the first weights of the key at `key` to `out`, as `dtype`. */
  read(key: number, dtype: RowDtype, out: number): void {
    const { bytes } = this.#arena;
    const { dim, dtype: own } = this.#layout;
    if (own === "float32" && dtype === "float32") {
      this.#draw(key, out);
      return;
    }
    const wide = this.#arena.rowScratch(8 * dim + ROW_HEADER_BYTES);
    const narrow = wide + 4 * dim;
    this.#draw(key, wide);
    encodeRow(this.#arena, { wide, dim, dtype: own, narrow });
    if (dtype === own) {
      bytes.copyWithin(out, narrow, narrow + valueBytes(dtype, dim));
      return;
    }
    decodeRow(this.#arena, { narrow, dim, dtype: own, wide });
    encodeRow(this.#arena, { wide, dim, dtype, narrow: out });
  }

  /** Writes first weights and state of a new row; `row` is the address of its address. */
  write(row: number): void {
    const { words, kernels } = this.#arena;
    const { dim, stateWidth, dtype } = this.#layout;
    const address = 4 * wordOfRow(words[row / 4]!);
    if (dtype === "float32") this.#draw(address, address + ROW_HEADER_BYTES);
    else {
      const wide = this.#arena.rowScratch(4 * (dim + stateWidth) + ROW_HEADER_BYTES);
      this.#draw(address, wide);
      kernels.rowsWrite(row, 1, dim, DTYPE_CODES[dtype], wide);
    }
    this.writeState(row);
  }

  /** Writes the state of a row that was never updated, but has its weights; `row` is the address of its address. */
  writeState(row: number): void {
    const { words, floats, kernels } = this.#arena;
    const { dim, stateWidth, stateAt, dtype } = this.#layout;
    if (stateWidth === 0) return;
    const word = wordOfRow(words[row / 4]!);
    if (dtype === "float32") {
      this.#optimizer.initState(floats, word + ROW_HEADER_BYTES / 4, dim);
      return;
    }
    const wide = this.#arena.rowScratch(4 * (dim + stateWidth));
    kernels.rowsRead(row, 1, dim, DTYPE_CODES[dtype], wide);
    this.#optimizer.initState(floats, wide / 4, dim);
    const state = wide / 4 + dim;
    words.copyWithin(word + stateAt / 4, state, state + stateWidth);
  }
}

function drawOf({ id, dim, initializer: spec }: TableSpec, { seed, arena }: { seed: number; arena: Arena }): Draw {
  const initializer = initializerOf(spec, { seed, table: id });
  const { kernels, words, floats } = arena;
  if (spec.kind === "uniform") {
    const { min } = spec;
    const scale = (spec.max - min) / 0x1_0000_0000;
    return (key, out) => kernels.drawUniform(key, dim, seed, id, min, scale, out);
  }
  return (key, out) => initializer(words[key / 4]!, words[key / 4 + 1]!, floats, out / 4, dim);
}

/** Writes `dim` floats at `wide` to `narrow`, as `dtype`. */
export function encodeRow(
  { kernels, bytes }: Arena,
  { wide, narrow, dim, dtype }: { wide: number; narrow: number; dim: number; dtype: RowDtype },
): void {
  if (dtype === "bfloat16") kernels.toBfloat16(wide, dim, narrow);
  else if (dtype === "int8") kernels.toInt8Rows(wide, 1, dim, narrow);
  else bytes.copyWithin(narrow, wide, wide + 4 * dim);
}

/** Writes `dim` values of `dtype` at `narrow` to `wide`, as floats. */
export function decodeRow(
  { kernels, bytes }: Arena,
  { wide, narrow, dim, dtype }: { wide: number; narrow: number; dim: number; dtype: RowDtype },
): void {
  if (dtype === "bfloat16") kernels.fromBfloat16(narrow, dim, wide);
  else if (dtype === "int8") kernels.fromInt8Rows(narrow, 1, dim, wide);
  else bytes.copyWithin(wide, narrow, narrow + 4 * dim);
}
