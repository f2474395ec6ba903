/**
 * Kernels of row tables: the index from keys to rows, the rows' weights, and what optimizers do to them. Keys are
 * pairs of words (low, high), `dim` the weights of a row, a dtype 0 float32, 1 bfloat16 or 2 int8.
 *
 * They use the first 2 KB of the memory while they run, so nothing else lies there. Up to 24 bytes behind keys, rows
 * and gradients are read, and up to 12 behind rows written as they were: the memory goes on for so long.
 *
 * A row is laid out as `../table/row-layout.ts` says. Its table has a descriptor of 16 words:
 *
 *      0  address of the slots           4  live rows                    8  where the newest block of rows ends
 *      1  how many slots there are       5  bytes from row to row
 *      2  used slots that are enough     6  first row given back, or 0
 *      3  used slots, tombstones too     7  next row never used
 *
 * `usedMax` (word 2) is below the number of slots, so that one is free. All words 0 but the stride are an empty table.
 */
export interface TableKernels {
  /** out[i] = address of the row of key i, or 0. Returns how many are absent. */
  tableFind(table: number, keys: number, n: number, out: number): number;
  /**
   * out[i] = address of the row of key i, with its low bit set where the row is new: its key is written, it has had no
   * updates, and its weights and state are whatever was there.
   *
   * @returns how many keys were done: fewer than `n` where the next is new and there is no slot or no row for it
   */
  tableInsert(table: number, keys: number, n: number, out: number): number;
  /** Takes rows out of the table, to its list of rows given back. */
  tableDelete(table: number, rows: number, n: number): void;
  /** Moves the table into `n` slots, all zeros; rows stay where they are. `usedMax` and the old slots are the caller's. */
  tableRehash(table: number, slots: number, n: number): void;
  /** Writes the addresses of the rows in at most `max` slots from slot `from` on; returns how many rows that were. */
  tableRows(table: number, from: number, out: number, max: number): number;
  /**
   * Writes the weights of each key to `out`, one after the other as `outDtype`, rounded to nearest even where they
   * have to be. bfloat16 takes 2 · dim bytes a key, int8 8 + dim and zeros up to a multiple of 4. The two dtypes are the
   * same, or one is float32.
   *
   * @param misses u32[n]: the numbers of the absent keys in order, whose places in `out` stay as they are
   * @returns how many are absent
   */
  tableGather(
    table: number,
    keys: number,
    n: number,
    dim: number,
    rowDtype: number,
    out: number,
    outDtype: number,
    misses: number,
  ): number;

  /** out f32[n, dim] = the weights of rows. The low bits of their addresses do not count. */
  rowsRead(rows: number, n: number, dim: number, rowDtype: number, out: number): void;
  /**
   * Overwrites the weights of rows with f32[n, dim]. In a row that was never updated bfloat16 and int8 are rounded to
   * nearest even, in others stochastically by key, number of updates and component, so that small updates are not lost
   * and replicas agree.
   */
  rowsWrite(rows: number, n: number, dim: number, rowDtype: number, values: number): void;
  /** Notes one update of each row, in a step. Before the optimizer's kernel: Adam corrects by the number of updates. */
  rowsTouched(rows: number, n: number, step: number): void;

  // Optimizers, on float32 rows whose addresses `rows` lists (a low bit set for a new one does not count). `grads` has
  // `dim` floats for each, `rate` is the step's. Bit for bit what `../optimizer` does.

  updateSgd(rows: number, n: number, dim: number, grads: number, rate: number): void;
  /** @param nesterov 1 or 0 */
  updateMomentum(
    rows: number,
    n: number,
    dim: number,
    grads: number,
    rate: number,
    momentum: number,
    nesterov: number,
  ): void;
  updateAdagrad(rows: number, n: number, dim: number, grads: number, rate: number, epsilon: number): void;
  updateRowwiseAdagrad(rows: number, n: number, dim: number, grads: number, rate: number, epsilon: number): void;
  /**
   * Adam and, with a decay, AdamW. The row's own number of updates counts, this one included.
   *
   * @param rest1 1 − beta1, in float64 before it is rounded
   * @param decay of the weights; 0 for Adam
   * @param corrections1 what `adamCorrections(beta1, …)` wrote, with the length it returned
   */
  updateAdam(
    rows: number,
    n: number,
    dim: number,
    grads: number,
    rate: number,
    beta1: number,
    beta2: number,
    rest1: number,
    rest2: number,
    epsilon: number,
    decay: number,
    corrections1: number,
    length1: number,
    corrections2: number,
    length2: number,
  ): void;
  /** Writes 1 − betaᵗ for t = 1, 2 … as float32 until it is 1, `max` (65,536 for Adam) at most; returns how many. */
  adamCorrections(beta: number, out: number, max: number): number;
  /** @param rate FTRL's alpha */
  updateFtrl(
    rows: number,
    n: number,
    dim: number,
    grads: number,
    rate: number,
    beta: number,
    l1: number,
    l2: number,
  ): void;

  /**
   * Writes the first `dim` weights of the key at `key` (a row's address will do): what the `uniform` initializer of
   * `../table/initializer.ts` gives, to the bit.
   *
   * @param scale (max − min) / 2³²
   */
  drawUniform(key: number, dim: number, seed: number, table: number, min: number, scale: number, out: number): void;
}
