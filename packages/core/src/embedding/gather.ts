/**
 * Between rows as they travel (each unique key's once, node by node, in key order) and rows as the model takes them
 * (packed: every sample's rows side by side, [B, E], E = Σ widths of the uses). Lists are combined to one row, or laid
 * out as a padded sequence, on the way: the device sees dense rows only.
 *
 * Sums are taken sample by sample in float32, always in that order, so a slot's gradients never depend on timing.
 */
import type { KeyPlan } from "./key-plan.ts";

/** Floats of a sample's packed row. */
export function packedWidth(plan: Pick<KeyPlan, "widths">): number {
  let width = 0;
  for (const floats of plan.widths) width += floats;
  return width;
}

/**
 * Copies the rows of every occurrence into `packed`, shape [B, E], which the caller owns. A list without keys, and
 * the places of a sequence after its last key, get zeros.
 *
 * @param rows the rows of all unique keys, node after node in key order; may be longer than they are
 * @throws {RangeError} arrays that are too short
 */
export function gatherRows({ plan, rows, packed }: { plan: KeyPlan; rows: Float32Array; packed: Float32Array }): void {
  checkPacked(plan, packed);
  if (rows.length < plan.rowFloats)
    throw new RangeError(`got ${rows.length} floats of rows; those of the plan have ${plan.rowFloats}`);
  if (plan.lists === undefined) gather(rows, plan.offsets, plan.dims, packed);
  else gatherLists(rows, plan, plan.lists, packed);
}

/** In {@link rowIdsOf}: a place of a sequence after its last key. */
export const NO_ROW = 0xffff_ffff;

/**
 * Which places of packed rows have the row of one key: those with the same number. A place is what a use of one key has,
 * or one of a sequence's; rows that were combined to one have a number of their own, whatever keys they are of.
 *
 * @returns shape [B, R], R = places of a sample; it may be an array of the plan
 */
export function rowIdsOf(plan: KeyPlan): Uint32Array {
  if (plan.lists === undefined) return plan.offsets;
  const places = plan.widths.reduce((sum, width, f) => sum + width / plan.dims[f]!, 0);
  const ids = new Uint32Array(plan.samples * places).fill(NO_ROW);
  listIds(plan, plan.lists, ids);
  return ids;
}

/**
 * Sums packed row gradients, shape [B, E], by unique key. A key of a pooled list gets its coefficient's share of the
 * gradient; those of padded places are dropped.
 *
 * @returns values of each node's push, in key order: views of one new array
 */
export function sumRowGradients({ plan, packed }: { plan: KeyPlan; packed: Float32Array }): Float32Array[] {
  checkPacked(plan, packed);
  const sums = new Float32Array(plan.rowFloats);
  if (plan.lists === undefined) scatter(packed, plan.offsets, plan.dims, sums);
  else scatterLists(packed, plan, plan.lists, sums);
  return plan.nodes.map(({ from, to }) => sums.subarray(from, to));
}

/**
 * Copies the rows that are no sample's, one after another, into `flat`, which may end within the last of them.
 *
 * @param rows as in {@link gatherRows}
 */
export function copyAside({
  plan,
  rows,
  flat,
  dim,
}: {
  plan: Pick<KeyPlan, "asideOffsets">;
  rows: Float32Array;
  flat: Float32Array;
  dim: number;
}): void {
  for (const [i, from] of plan.asideOffsets.entries()) {
    const at = i * dim;
    flat.set(rows.subarray(from, from + Math.min(dim, flat.length - at)), at);
  }
}

/**
 * Puts gradients of those rows among the sums that {@link sumRowGradients} gave; the rest of the last row gets none.
 *
 * @param flat float32, as {@link copyAside} gives
 */
export function placeAside({
  plan,
  sums,
  flat,
  dim,
}: {
  plan: Pick<KeyPlan, "asideOffsets" | "nodes">;
  sums: readonly Float32Array[];
  flat: Float32Array;
  dim: number;
}): void {
  for (const [i, to] of plan.asideOffsets.entries()) {
    const n = plan.nodes.findIndex((node) => to >= node.from && to < node.to);
    const at = i * dim;
    sums[n]!.set(flat.subarray(at, Math.min(at + dim, flat.length)), to - plan.nodes[n]!.from);
  }
}

function checkPacked(plan: KeyPlan, packed: Float32Array): void {
  const floats = plan.samples * packedWidth(plan);
  if (packed.length !== floats)
    throw new RangeError(`packed rows have ${packed.length} floats; ${plan.samples} samples need ${floats}`);
}

// -- the loops -----------------------------------------------------------------------------------------------

function gather(rows: Float32Array, offsets: Uint32Array, dims: Uint32Array, packed: Float32Array): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i < offsets.length; i += F) {
    for (let f = 0; f < F; f++) {
      const from = offsets[i + f]!;
      const dim = dims[f]!;
      for (let d = 0; d < dim; d++) packed[at + d] = rows[from + d]!;
      at += dim;
    }
  }
}

function scatter(packed: Float32Array, offsets: Uint32Array, dims: Uint32Array, sums: Float32Array): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i < offsets.length; i += F) {
    for (let f = 0; f < F; f++) {
      const to = offsets[i + f]!;
      const dim = dims[f]!;
      for (let d = 0; d < dim; d++) sums[to + d]! += packed[at + d]!;
      at += dim;
    }
  }
}

function gatherLists(
  rows: Float32Array,
  { dims, widths, pooled, offsets, coefficients }: KeyPlan,
  lists: Uint32Array,
  packed: Float32Array,
): void {
  const F = dims.length;
  packed.fill(0);
  let at = 0;
  for (let i = 0; i + 1 < lists.length; i += F) {
    for (let f = 0; f < F; f++) {
      const dim = dims[f]!;
      const end = lists[i + f + 1]!;
      if (pooled[f] === 1) {
        for (let k = lists[i + f]!; k < end; k++) {
          const from = offsets[k]!;
          const share = coefficients === undefined ? 1 : coefficients[k]!;
          for (let d = 0; d < dim; d++) packed[at + d]! += share * rows[from + d]!;
        }
      } else {
        let place = at;
        for (let k = lists[i + f]!; k < end; k++) {
          const from = offsets[k]!;
          for (let d = 0; d < dim; d++) packed[place + d] = rows[from + d]!;
          place += dim;
        }
      }
      at += widths[f]!;
    }
  }
}

function scatterLists(
  packed: Float32Array,
  { dims, widths, pooled, offsets, coefficients }: KeyPlan,
  lists: Uint32Array,
  sums: Float32Array,
): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i + 1 < lists.length; i += F) {
    for (let f = 0; f < F; f++) {
      const dim = dims[f]!;
      const end = lists[i + f + 1]!;
      const step = pooled[f] === 1 ? 0 : dim;
      let place = at;
      for (let k = lists[i + f]!; k < end; k++) {
        const to = offsets[k]!;
        const share = step > 0 || coefficients === undefined ? 1 : coefficients[k]!;
        for (let d = 0; d < dim; d++) sums[to + d]! += share * packed[place + d]!;
        place += step;
      }
      at += widths[f]!;
    }
  }
}

function listIds({ dims, widths, pooled, offsets, rowFloats }: KeyPlan, lists: Uint32Array, ids: Uint32Array): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i + 1 < lists.length; i += F) {
    for (let f = 0; f < F; f++) {
      if (pooled[f] === 1) ids[at] = rowFloats + at;
      else for (let k = lists[i + f]!, place = at; k < lists[i + f + 1]!; k++) ids[place++] = offsets[k]!;
      at += widths[f]! / dims[f]!;
    }
  }
}
