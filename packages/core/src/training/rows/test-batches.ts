/** For tests: batches of a model with two tables, and the frames of their rows read by key. */
import fc from "fast-check";
import type { Batch } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { firstPartitionMap, type PartitionMap } from "../../partition/index.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import type { Frame } from "../../wire/index.ts";
import type { StepRows } from "./step-rows.ts";

/** Width of a table's rows by its number. */
export const DIMS: ReadonlyMap<number, number> = new Map([
  [1, 3],
  [2, 2],
  [DENSE_TABLE.id, DENSE_TABLE.dim],
]);
/** Floats of the model's one dense variable. */
export const DENSE_FLOATS = 5;
/** Floats of a sample's rows. */
const PACKED = 5;

export type TestManifest = Pick<JobManifest, "model" | "tables"> & { fit: Pick<JobManifest["fit"], "wire" | "cache"> };

export function manifestOf(fit: TestManifest["fit"]): TestManifest {
  const tables = [1, 2].map((id) => ({
    id,
    name: `t${id}`,
    dim: DIMS.get(id)!,
    initializer: { kind: "zeros" as const },
    optimizer: { kind: "sgd" as const, learningRate: 1 },
  }));
  const embeddings = tables.map(({ name, dim }) => ({
    input: name,
    field: name,
    table: name,
    dim,
    usage: { kind: "one" as const },
  }));
  const variables = [{ name: "w", shape: [DENSE_FLOATS], initializer: { kind: "zeros" as const }, trainable: true }];
  return { tables, fit, model: { embeddings, numbers: [], variables, outputs: 1 } };
}

export function mapOf({ partitions = 8, nodes = 3 }: { partitions?: number; nodes?: number } = {}): PartitionMap {
  const some = Array.from({ length: nodes }, (_, i) => ({
    node: i + 1,
    name: `ps-${i + 1}`,
    address: `ws://ps-${i + 1}`,
  }));
  return firstPartitionMap({ partitions, nodes: some });
}

/** Samples as pairs of keys, one of each table, with a gradient that is a whole number of 1 / 64. */
export interface TestSamples {
  readonly keys: readonly (readonly [number, number])[];
  readonly rowGrads: Float32Array;
  readonly denseGrads: Float32Array;
}

const someSixtyFourths = fc.integer({ min: -512, max: 512 }).map((n) => n / 64);

export function someSamples({ keysMax, samplesMax = 12 }: { keysMax: number; samplesMax?: number }) {
  const key = fc.integer({ min: 0, max: keysMax - 1 });
  return fc.array(fc.tuple(key, key), { maxLength: samplesMax }).chain((keys) =>
    fc.record({
      keys: fc.constant(keys),
      rowGrads: floats(keys.length * PACKED),
      denseGrads: floats(DENSE_FLOATS),
    }),
  );
}

function floats(length: number): fc.Arbitrary<Float32Array> {
  return fc.array(someSixtyFourths, { minLength: length, maxLength: length }).map((list) => Float32Array.from(list));
}

export function batchOf({ keys }: Pick<TestSamples, "keys">): Batch {
  const words = (f: 0 | 1) => Uint32Array.from(keys.flatMap((pair) => [pair[f], 0]));
  return {
    samples: keys.length,
    keys: new Map([
      ["t1", words(0)],
      ["t2", words(1)],
    ]),
    keyLists: new Map(),
    numbers: new Map(),
    numberLists: new Map(),
    label: new Float32Array(keys.length),
    weight: undefined,
    group: undefined,
  };
}

/** Rows by table and key, as "1/7". */
export type RowsByKey = Map<string, Float32Array>;

/** Calls `visit` for each key of a frame; its row begins at float `at`. */
export function eachKey(
  { tables, partitions, counts, keys }: Pick<Frame, "tables" | "partitions" | "counts" | "keys">,
  visit: (row: { table: number; key: number; dim: number; at: number }) => void,
): void {
  let [k, at] = [0, 0];
  for (let s = 0; s < partitions.length; s++) {
    for (const [t, table] of tables.entries()) {
      const dim = DIMS.get(table)!;
      for (let i = 0; i < counts[s * tables.length + t]!; i++, k++, at += dim)
        visit({ table, key: keys[2 * k]!, dim, at });
    }
  }
}

/** Adds rows of values to those of a table by key. */
export function addRow(sums: RowsByKey, { table, key }: { table: number; key: number }, row: Float32Array): void {
  const name = `${table}/${key}`;
  const sum = sums.get(name) ?? new Float32Array(row.length);
  sums.set(
    name,
    sum.map((value, d) => value + row[d]!),
  );
}

/** Adds the gradients of samples to sums by key, dense ones as a row of the reserved table. */
export function addGradients(sums: RowsByKey, { keys, rowGrads, denseGrads }: TestSamples): void {
  for (const [b, pair] of keys.entries()) {
    addRow(sums, { table: 1, key: pair[0] }, rowGrads.subarray(b * PACKED, b * PACKED + 3));
    addRow(sums, { table: 2, key: pair[1] }, rowGrads.subarray(b * PACKED + 3, (b + 1) * PACKED));
  }
  addRow(sums, { table: DENSE_TABLE.id, key: 0 }, denseGrads);
}

/** Answers all that a pull asks for; the keys that it asked for. */
export function answer(rows: StepRows, rowOf: (table: number, key: number) => readonly number[]): string[] {
  const asked: string[] = [];
  for (const n of rows.route.nodes.keys()) {
    if (!rows.asks(n)) continue;
    const values: number[] = [];
    eachKey(rows.sections(n), ({ table, key }) => {
      asked.push(`${table}/${key}`);
      values.push(...rowOf(table, key));
    });
    rows.takeReply(n, Float32Array.from(values));
  }
  return asked;
}
