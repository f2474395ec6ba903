/**
 * Dense variables as rows of the reserved table: one after another they are a flat vector, and key k holds its k-th
 * chunk of 4 K floats. So dense weights share the tables' path, chains and checkpoints.
 */
import type { TableClient } from "../../client/index.ts";
import { consistencyOf } from "../../consistency/index.ts";
import type { JobManifest, VariableSpec } from "../../job/index.ts";
import { DENSE_TABLE, type TableSpec } from "../../table/index.ts";

interface Chunk {
  key: bigint;
  /** Floats [from, to) of the flat vector of all variables. */
  from: number;
  to: number;
}

export function variableFloats(variable: Pick<VariableSpec, "shape">): number {
  return variable.shape.reduce((a, b) => a * b, 1);
}

/** Floats of all variables together. */
export function denseFloats(variables: readonly VariableSpec[]): number {
  return variables.reduce((sum, v) => sum + variableFloats(v), 0);
}

/** Rows that so many floats take. */
function denseChunks(floats: number): number {
  return Math.ceil(floats / DENSE_TABLE.dim);
}

/** The reserved table of a job: the PS update its rows where the mode combines dense gradients there. */
export function denseTableOf({ compile, fit }: Pick<JobManifest, "compile" | "fit">): TableSpec {
  const { dense } = consistencyOf(fit.consistency);
  return dense === "ps" ? { ...DENSE_TABLE, optimizer: compile.optimizer } : DENSE_TABLE;
}

/** Keys of all dense variables, as little-endian u32 pairs. */
export function denseKeys(variables: readonly VariableSpec[]): Uint32Array {
  const keys = new Uint32Array(2 * denseChunks(denseFloats(variables)));
  for (let c = 0; c < keys.length / 2; c++) keys[2 * c] = c;
  return keys;
}

/** Stores all dense variables. @param flat float32, all variables in order */
export async function writeDense(
  client: TableClient,
  variables: readonly VariableSpec[],
  flat: Float32Array,
): Promise<void> {
  const chunks = chunksOf(variables);
  if (chunks.length === 0) return;
  const values = new Float32Array(chunks.length * DENSE_TABLE.dim);
  chunks.forEach(({ from, to }, i) => values.set(flat.subarray(from, to), i * DENSE_TABLE.dim));
  await client.set({ table: DENSE_TABLE, keys: BigUint64Array.from(chunks, (c) => c.key), values });
}

/** Reads all dense variables. @returns float32, all variables in order */
export async function readDense(client: TableClient, variables: readonly VariableSpec[]): Promise<Float32Array> {
  const chunks = chunksOf(variables);
  const flat = new Float32Array(denseFloats(variables));
  if (chunks.length === 0) return flat;
  const values = await client.get({ table: DENSE_TABLE, keys: BigUint64Array.from(chunks, (c) => c.key) });
  chunks.forEach(({ from, to }, i) =>
    flat.set(values.subarray(i * DENSE_TABLE.dim, i * DENSE_TABLE.dim + to - from), from),
  );
  return flat;
}

function chunksOf(variables: readonly VariableSpec[]): Chunk[] {
  const floats = denseFloats(variables);
  return Array.from({ length: denseChunks(floats) }, (_, c) => ({
    key: BigInt(c),
    from: c * DENSE_TABLE.dim,
    to: Math.min((c + 1) * DENSE_TABLE.dim, floats),
  }));
}
