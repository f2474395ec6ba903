/**
 * Dense variables as rows of the reserved table: key = (variable << 32) | chunk, a row = 16 K floats of it. So
 * initial and final dense weights share the tables' path, log and checkpoints.
 */
import type { TableClient } from "../client/index.ts";
import type { VariableSpec } from "../job/index.ts";
import { DENSE_TABLE } from "../table/index.ts";

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
  let at = 0;
  return variables.flatMap((variable, v) => {
    const floats = variableFloats(variable);
    const count = Math.ceil(floats / DENSE_TABLE.dim);
    const chunks = Array.from({ length: count }, (_, c) => ({
      key: (BigInt(v) << 32n) | BigInt(c),
      from: at + c * DENSE_TABLE.dim,
      to: at + Math.min((c + 1) * DENSE_TABLE.dim, floats),
    }));
    at += floats;
    return chunks;
  });
}
