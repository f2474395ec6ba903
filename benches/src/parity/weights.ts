/** Everything a job has learnt, in an order of its own, and how far apart two of these are. */
import type { ExportedRows } from "@volary/core/client";
import type { Run } from "volary";

export interface Weights {
  /** Rows by ascending key. */
  readonly tables: ReadonlyMap<string, ExportedRows>;
  readonly dense: ReadonlyMap<string, Float32Array>;
}

export async function weightsOf(run: Run): Promise<Weights> {
  const tables = new Map<string, ExportedRows>();
  for (const { name, dim } of run.manifest.tables) {
    const rows: { key: bigint; row: Float32Array }[] = [];
    for await (const { keys, values } of run.rowsOf(name)) {
      keys.forEach((key, i) => rows.push({ key, row: values.subarray(i * dim, (i + 1) * dim) }));
    }
    rows.sort((a, b) => (a.key < b.key ? -1 : 1));
    const values = new Float32Array(rows.length * dim);
    rows.forEach(({ row }, i) => values.set(row, i * dim));
    tables.set(name, { keys: BigUint64Array.from(rows, ({ key }) => key), values });
  }
  return { tables, dense: await denseOf(run) };
}

async function denseOf(run: Run): Promise<Map<string, Float32Array>> {
  const flat = await run.denseWeights();
  let at = 0;
  return new Map(
    run.manifest.model.variables.map(({ name, shape }) => {
      const floats = shape.reduce((product, size) => product * size, 1);
      return [name, flat.subarray(at, (at += floats))];
    }),
  );
}

/**
 * The largest ‖Δ‖/‖w‖ over all dense tensors and, as `unit` says, over whole tables or single rows; w is of
 * `reference`. Tables of other keys are 1 apart.
 */
export function differenceOf(reference: Weights, other: Weights, unit: "table" | "row"): number {
  let largest = 0;
  for (const [name, { keys, values }] of reference.tables) {
    const theirs = other.tables.get(name)!;
    if (!sameBits(keys, theirs.keys)) return 1;
    const floats = unit === "table" ? values.length : values.length / keys.length;
    for (let at = 0; at < values.length; at += floats) {
      const [a, b] = [values.subarray(at, at + floats), theirs.values.subarray(at, at + floats)];
      largest = Math.max(largest, relative(a, b));
    }
  }
  for (const [name, mine] of reference.dense) largest = Math.max(largest, relative(mine, other.dense.get(name)!));
  return largest;
}

/** ‖a − b‖/‖a‖ */
function relative(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += a[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Whether all keys and weights are the same to the last bit. */
export function areIdentical(a: Weights, b: Weights): boolean {
  const tables = Array.from(a.tables, ([name, mine]) => {
    const theirs = b.tables.get(name)!;
    return sameBits(mine.keys, theirs.keys) && sameBits(mine.values, theirs.values);
  });
  return tables.every(Boolean) && Array.from(a.dense).every(([name, mine]) => sameBits(mine, b.dense.get(name)!));
}

function sameBits(a: BigUint64Array | Float32Array, b: BigUint64Array | Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}

/** Flips the lowest bit of one weight of a table, in place. */
export function flipOneBit({ tables }: Weights): void {
  const [{ values }] = [...tables.values()] as [ExportedRows];
  new Uint8Array(values.buffer, values.byteOffset)[4 * Math.floor(values.length / 2)]! ^= 1;
}
