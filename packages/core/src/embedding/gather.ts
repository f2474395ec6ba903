/**
 * Between rows as they travel (each unique key's once, node by node, in key order) and rows as the model takes them
 * (packed: every sample's rows side by side, [B, E], E = Σ dims of the uses).
 *
 * Sums are taken sample by sample in float32, always in that order, so a slot's gradients never depend on timing.
 */
import { ProtocolError } from "../errors.ts";
import type { KeyPlan } from "./unique-keys.ts";

/** Floats of a sample's packed row. */
export function packedWidth(plan: Pick<KeyPlan, "dims">): number {
  let width = 0;
  for (const dim of plan.dims) width += dim;
  return width;
}

/**
 * Copies the rows of every occurrence into `packed`, shape [B, E], which the caller owns.
 *
 * @param replies values of each node's pull reply, in key order
 * @throws {ProtocolError} a reply of another length than its keys call for
 */
export function gatherRows({
  plan,
  replies,
  packed,
}: {
  plan: KeyPlan;
  replies: readonly Float32Array[];
  packed: Float32Array;
}): void {
  checkPacked(plan, packed);
  gather(flatRows(plan, replies), plan.offsets_BF, plan.dims, packed);
}

/**
 * Sums packed row gradients, shape [B, E], by unique key.
 *
 * @returns values of each node's push, in key order: views of one new array
 */
export function sumRowGradients({ plan, packed }: { plan: KeyPlan; packed: Float32Array }): Float32Array[] {
  checkPacked(plan, packed);
  const sums = new Float32Array(plan.rowFloats);
  scatter(packed, plan.offsets_BF, plan.dims, sums);
  return plan.nodes.map(({ from, to }) => sums.subarray(from, to));
}

function flatRows(plan: KeyPlan, replies: readonly Float32Array[]): Float32Array {
  if (replies.length !== plan.nodes.length) {
    throw new RangeError(`got replies of ${replies.length} nodes; keys went to ${plan.nodes.length}`);
  }
  for (const [node, { from, to }] of plan.nodes.entries()) {
    const { length } = replies[node]!;
    if (length === to - from) continue;
    throw new ProtocolError(`pull reply of node ${node} has ${length} values; the rows of its keys have ${to - from}`);
  }
  if (replies.length === 1) return replies[0]!;
  const rows = new Float32Array(plan.rowFloats);
  for (const [node, { from }] of plan.nodes.entries()) rows.set(replies[node]!, from);
  return rows;
}

function checkPacked(plan: KeyPlan, packed: Float32Array): void {
  const floats = plan.samples * packedWidth(plan);
  if (packed.length !== floats)
    throw new RangeError(`packed rows have ${packed.length} floats; ${plan.samples} samples need ${floats}`);
}

// -- the loops -----------------------------------------------------------------------------------------------

function gather(rows: Float32Array, offsets_BF: Uint32Array, dims: Uint32Array, packed: Float32Array): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i < offsets_BF.length; i += F) {
    for (let f = 0; f < F; f++) {
      const from = offsets_BF[i + f]!;
      const dim = dims[f]!;
      for (let d = 0; d < dim; d++) packed[at + d] = rows[from + d]!;
      at += dim;
    }
  }
}

function scatter(packed: Float32Array, offsets_BF: Uint32Array, dims: Uint32Array, sums: Float32Array): void {
  const F = dims.length;
  let at = 0;
  for (let i = 0; i < offsets_BF.length; i += F) {
    for (let f = 0; f < F; f++) {
      const to = offsets_BF[i + f]!;
      const dim = dims[f]!;
      for (let d = 0; d < dim; d++) sums[to + d]! += packed[at + d]!;
      at += dim;
    }
  }
}
