/**
 * What a push does to rows in an arena: the optimizer's kernel where there is one, else the optimizer row by row. Rows
 * that are not float32 are read into one float32 row, updated there and written back, rounded so that the mean is kept.
 */
import { optimizerOf, type Optimizer } from "../optimizer/index.ts";
import { adamCorrectionsOf } from "./adam-corrections.ts";
import { CHUNK_ROWS, type Arena } from "./arena.ts";
import { rowBoundsOf, type RowBounds } from "./row-bounds.ts";
import { DTYPE_CODES, ROW_HEADER_BYTES, rowLayout, UPDATES_AT, wordOfRow, type RowLayout } from "./row-layout.ts";
import type { TableSpec } from "./table-spec.ts";

/** Float32 rows that narrow ones are updated in, at a time: they and their gradients stay in the cache. */
const BLOCK_BYTES = 32_768;

export interface RowUpdate {
  /**
   * Applies one gradient to each of `n` rows, whose updates are counted already.
   *
   * @param rows address of their addresses; the low bits of these do not count
   * @param grads address of float32 [n, dim]
   * @param rate learning rate of the step, float32
   */
  apply(rows: number, n: number, grads: number, rate: number): void;
}

/**
 * The update of a table whose rows lie in an arena.
 *
 * @throws {RangeError} an optimizer with numbers out of range, or that is not loaded here
 */
export function rowUpdateOf(spec: TableSpec, layout: RowLayout, arena: Arena): RowUpdate {
  const optimizer = optimizerOf(spec.optimizer);
  const bounds = rowBoundsOf(spec);
  const update =
    (bounds === undefined ? kernelUpdate(spec, arena) : undefined) ?? new RowByRow(optimizer, bounds, spec.dim, arena);
  return layout.dtype === "float32" ? update : new NarrowUpdate(update, layout, arena);
}

/** The update of an optimizer that has a kernel. */
function kernelUpdate({ optimizer: o, dim }: TableSpec, arena: Arena): RowUpdate | undefined {
  const { kernels } = arena;
  switch (o.kind) {
    case "sgd":
      return { apply: (rows, n, grads, rate) => kernels.updateSgd(rows, n, dim, grads, rate) };
    case "momentum": {
      const { momentum } = o;
      const nesterov = o.nesterov ? 1 : 0;
      return {
        apply: (rows, n, grads, rate) => kernels.updateMomentum(rows, n, dim, grads, rate, momentum, nesterov),
      };
    }
    case "adagrad": {
      const { epsilon } = o;
      return { apply: (rows, n, grads, rate) => kernels.updateAdagrad(rows, n, dim, grads, rate, epsilon) };
    }
    case "rowwise-adagrad": {
      const { epsilon } = o;
      return { apply: (rows, n, grads, rate) => kernels.updateRowwiseAdagrad(rows, n, dim, grads, rate, epsilon) };
    }
    case "adam":
    case "adamw": {
      const { beta1, beta2, epsilon } = o;
      const decay = o.kind === "adamw" ? o.weightDecay : 0;
      const first = adamCorrectionsOf(arena, beta1);
      const second = adamCorrectionsOf(arena, beta2);
      return {
        apply: (rows, n, grads, rate) =>
          kernels.updateAdam(
            rows,
            n,
            dim,
            grads,
            rate,
            beta1,
            beta2,
            1 - beta1,
            1 - beta2,
            epsilon,
            decay,
            first.at,
            first.length,
            second.at,
            second.length,
          ),
      };
    }
    case "ftrl": {
      const { beta, l1, l2 } = o;
      return { apply: (rows, n, grads, rate) => kernels.updateFtrl(rows, n, dim, grads, rate, beta, l1, l2) };
    }
    case "none":
    case "sum":
    case "count":
    case "max":
    case "set":
    case "custom":
      return undefined;
    default:
      return o satisfies never;
  }
}

/** Takes the optimizer, within the table's bounds, to one row after the other. */
class RowByRow implements RowUpdate {
  readonly #optimizer: Optimizer;
  readonly #bounds: RowBounds | undefined;
  readonly #dim: number;
  readonly #arena: Arena;

  constructor(optimizer: Optimizer, bounds: RowBounds | undefined, dim: number, arena: Arena) {
    this.#optimizer = optimizer;
    this.#bounds = bounds;
    this.#dim = dim;
    this.#arena = arena;
  }

  apply(rows: number, n: number, grads: number, rate: number): void {
    const { words, floats } = this.#arena;
    const dim = this.#dim;
    const optimizer = this.#optimizer;
    const bounds = this.#bounds;
    const from = rows / 4;
    let gradAt = grads / 4;
    for (let i = from; i < from + n; i++) {
      const word = wordOfRow(words[i]!);
      const at = word + ROW_HEADER_BYTES / 4;
      const updates = words[word + UPDATES_AT / 4]!;
      if (bounds === undefined) optimizer.update(floats, at, dim, floats, gradAt, updates, rate);
      else {
        const gradient = bounds.gradient(floats, at, floats, gradAt);
        optimizer.update(floats, at, dim, gradient, 0, updates, rate);
        bounds.shorten(floats, at);
      }
      gradAt += dim;
    }
  }
}

/** Updates narrow rows by way of float32 rows, a block at a time. */
class NarrowUpdate implements RowUpdate {
  readonly #update: RowUpdate;
  readonly #arena: Arena;
  readonly #layout: RowLayout;
  readonly #wide: RowLayout;
  readonly #blockRows: number;

  constructor(update: RowUpdate, layout: RowLayout, arena: Arena) {
    this.#update = update;
    this.#arena = arena;
    this.#layout = layout;
    this.#wide = rowLayout({ ...layout, dtype: "float32" });
    this.#blockRows = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(BLOCK_BYTES / this.#wide.stride)));
  }

  apply(rows: number, n: number, grads: number, rate: number): void {
    const { dim } = this.#layout;
    for (let from = 0; from < n; from += this.#blockRows) {
      const block = Math.min(this.#blockRows, n - from);
      this.#applyBlock(rows + 4 * from, block, grads + 4 * dim * from, rate);
    }
  }

  #applyBlock(rows: number, n: number, grads: number, rate: number): void {
    const { words, kernels } = this.#arena;
    const { dim } = this.#layout;
    const dtype = DTYPE_CODES[this.#layout.dtype];
    const { stride } = this.#wide;
    // Float32 rows, their addresses, their weights one after the other.
    const wideRows = this.#arena.rowScratch(n * (stride + 4 + 4 * dim));
    const list = wideRows + n * stride;
    const weights = list + 4 * n;
    for (let i = 0; i < n; i++) words[list / 4 + i] = wideRows + i * stride;
    this.#widen(rows, wideRows, n);
    kernels.rowsRead(rows, n, dim, dtype, weights);
    kernels.rowsWrite(list, n, dim, DTYPE_CODES.float32, weights);
    this.#update.apply(list, n, grads, rate);
    kernels.rowsRead(list, n, dim, DTYPE_CODES.float32, weights);
    kernels.rowsWrite(rows, n, dim, dtype, weights);
    this.#takeStates(rows, wideRows, n);
  }

  /** Copies headers and states of narrow rows to the float32 rows. */
  #widen(rows: number, wideRows: number, n: number): void {
    const { words } = this.#arena;
    const { stateWidth } = this.#layout;
    for (let i = 0; i < n; i++) {
      const row = wordOfRow(words[rows / 4 + i]!);
      const wide = (wideRows + i * this.#wide.stride) / 4;
      for (let w = 0; w < ROW_HEADER_BYTES / 4; w++) words[wide + w] = words[row + w]!;
      copyWords(words, wide + this.#wide.stateAt / 4, row + this.#layout.stateAt / 4, stateWidth);
    }
  }

  /** Copies states of float32 rows to the narrow rows. */
  #takeStates(rows: number, wideRows: number, n: number): void {
    const { words } = this.#arena;
    const { stateWidth } = this.#layout;
    for (let i = 0; stateWidth > 0 && i < n; i++) {
      const row = wordOfRow(words[rows / 4 + i]!);
      const wide = (wideRows + i * this.#wide.stride) / 4;
      copyWords(words, row + this.#layout.stateAt / 4, wide + this.#wide.stateAt / 4, stateWidth);
    }
  }
}

/** Beyond this many words a native copy is faster than a loop. */
const WORDS_LOOP_MAX = 16;

function copyWords(words: Uint32Array, to: number, from: number, n: number): void {
  if (n > WORDS_LOOP_MAX) words.copyWithin(to, from, from + n);
  else for (let i = 0; i < n; i++) words[to + i] = words[from + i]!;
}
