import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeRows, RowResiduals } from "../../compression/index.ts";
import type { WireSpec } from "../../job/index.ts";
import { KernelMemory } from "../../kernels/index.ts";
import type { PartitionMap } from "../../partition/index.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import { frame } from "../../wire/index.ts";
import { RowPlanner, type StepRows } from "./step-rows.ts";
import {
  addGradients,
  addRow,
  batchOf,
  DENSE_FLOATS,
  DIMS,
  eachKey,
  manifestOf,
  mapOf,
  someSamples,
  type RowsByKey,
  type TestSamples,
} from "./test-batches.ts";

const kernels = new KernelMemory();
const KEYS = 12;
const map = mapOf();

interface Worker {
  residuals: RowResiduals;
  push(samples: TestSamples, by?: PartitionMap): StepRows;
}

function workerOf(wire: WireSpec, rowsMax = 1000): Worker {
  const residuals = new RowResiduals({ rowsMax });
  const planners = new Map<PartitionMap, RowPlanner>();
  return {
    residuals,
    push(samples, by = map) {
      const planner =
        planners.get(by) ?? new RowPlanner({ manifest: manifestOf({ wire }), map: by, withDense: true, residuals });
      planners.set(by, planner);
      const rows = planner.rowsOf(batchOf(samples));
      rows.scatter(samples.rowGrads, samples.denseGrads);
      return rows;
    },
  };
}

/** Of a chunk of dense variables only the first floats are a variable. */
const lengthOf = (dim: number): number => (dim === DENSE_TABLE.dim ? DENSE_FLOATS : dim);

/** What the PS make of a push: rows by key. */
function sentBy(rows: StepRows): RowsByKey {
  const sent: RowsByKey = new Map();
  for (const n of rows.route.nodes.keys()) {
    const { dtype, values, coded, ...sections } = rows.push(n);
    const dims = Uint32Array.from(sections.tables, (id) => DIMS.get(id)!);
    const floats =
      dtype === "float32" ? values : decodeRows(kernels, coded, { dtype, counts: sections.counts, dims, first: 0 });
    let end = 0;
    eachKey(sections, (row) => {
      addRow(sent, row, floats.subarray(row.at, row.at + lengthOf(row.dim)));
      end = row.at + row.dim;
    });
    expect(floats).toHaveLength(end);
  }
  return sent;
}

/** What is kept or overdue, by key. */
function keptBy({ residuals }: Worker): RowsByKey {
  const kept: RowsByKey = new Map();
  for (const [table, dim] of DIMS) {
    for (let key = 0; key < KEYS; key++) {
      const row = new Float32Array(dim);
      residuals.table(table, dim).addTo(key, 0, row, 0);
      addRow(kept, { table, key }, row.subarray(0, lengthOf(dim)));
    }
  }
  for (const { table, keys, values } of residuals.overdue) {
    const dim = DIMS.get(table)!;
    for (let k = 0; k < keys.length / 2; k++)
      addRow(kept, { table, key: keys[2 * k]! }, values.subarray(k * dim, k * dim + lengthOf(dim)));
  }
  return kept;
}

/** Sums of all batches are what was sent and what is kept, within `error` of the sizes that were added. */
function expectAllThere(batches: readonly TestSamples[], sent: RowsByKey, kept: RowsByKey, error: number): void {
  const [expected, sizes, found]: [RowsByKey, RowsByKey, RowsByKey] = [new Map(), new Map(), new Map()];
  for (const samples of batches) {
    addGradients(expected, samples);
    addGradients(sizes, sizesOf(samples));
  }
  for (const [name, row] of [...sent, ...kept]) {
    const [table, key] = name.split("/").map(Number);
    addRow(found, { table: table!, key: key! }, row);
  }
  for (const [name, row] of found) {
    const wanted = expected.get(name) ?? new Float32Array(row.length);
    const off = row.reduce((most, value, d) => Math.max(most, Math.abs(value - wanted[d]!)), 0);
    const size = sizes.get(name)?.reduce((sum, value) => sum + value, 0) ?? 0;
    expect(off, name).toBeLessThanOrEqual(error * size);
  }
  for (const name of expected.keys()) expect(found.has(name), name).toBe(true);
}

function sizesOf({ keys, rowGrads, denseGrads }: TestSamples): TestSamples {
  return { keys, rowGrads: rowGrads.map(Math.abs), denseGrads: denseGrads.map(Math.abs) };
}

const someBatches = fc.array(someSamples({ keysMax: KEYS }), { maxLength: 8 });
const lossy: [string, WireSpec, number][] = [
  ["bfloat16", { gradients: "bfloat16", errorFeedback: true }, 0],
  // Some roundings to float32 a push.
  ["int8", { gradients: "int8", errorFeedback: true }, 2e-6],
  ["topK", { gradients: { topK: 0.2 } }, 0],
];

describe.each(lossy)("gradients as %s", (_, wire, error) => {
  test("what is sent and what is kept are the sum of all gradients, also when pushes are given up and made again", () => {
    fc.assert(
      fc.property(someBatches, fc.integer({ min: 0, max: 3 }), (batches, givenUp) => {
        const worker = workerOf(wire);
        const sent: RowsByKey = new Map();
        for (const samples of batches) {
          for (let i = 0; i < givenUp; i++) sentBy(worker.push(samples));
          const rows = worker.push(samples);
          for (const [name, row] of sentBy(rows)) {
            const [table, key] = name.split("/").map(Number);
            addRow(sent, { table: table!, key: key! }, row);
          }
          rows.settle();
          rows.settle();
        }
        expectAllThere(batches, sent, keptBy(worker), error);
      }),
      { numRuns: 50 },
    );
  });

  test("a push that is repeated, or goes by another map, carries the same rows", () => {
    const other = mapOf({ partitions: 8, nodes: 2 });
    fc.assert(
      fc.property(fc.array(someSamples({ keysMax: KEYS }), { minLength: 1, maxLength: 4 }), (batches) => {
        const worker = workerOf(wire, 6);
        for (const samples of batches) {
          const rows = worker.push(samples);
          const first = sentBy(rows);
          expect(sentBy(rows)).toEqual(first);
          expect(sentBy(worker.push(samples, other))).toEqual(first);
          rows.settle();
          expect(sentBy(rows)).toEqual(first);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("topK", () => {
  const rowsOf = (sent: RowsByKey) => [...sent.keys()].filter((name) => !name.startsWith(`${DENSE_TABLE.id}/`));

  test("sends the share of a batch's rows, the longest, and all of dense variables", () => {
    const worker = workerOf({ gradients: { topK: 0.25 } });
    const samples: TestSamples = {
      keys: [
        [1, 5],
        [2, 6],
        [3, 6],
        [4, 6],
      ],
      rowGrads: Float32Array.of(1, 0, 0, 2, 0, 8, 0, 0, 0.5, 0, 0, 3, 0, 0.25, 0, 0, 0, 1, 0.25, 0),
      denseGrads: Float32Array.of(0, 0, 0, 0, 0.5),
    };
    const push = (): RowsByKey => {
      const rows = worker.push(samples);
      const sent = sentBy(rows);
      rows.settle();
      return sent;
    };
    const first = push();
    expect(rowsOf(first).toSorted()).toEqual(["1/2", "1/3"]); // of six rows, rounded up
    expect(first.get("1/2")).toEqual(Float32Array.of(8, 0, 0));
    expect(first.get(`${DENSE_TABLE.id}/0`)).toEqual(samples.denseGrads);
    expect(worker.residuals.rows).toBe(4);
    expect(push().get("2/5")).toEqual(Float32Array.of(4, 0)); // kept once: longer than 1/3 now
    expect(push().get("1/3")).toEqual(Float32Array.of(0, 6, 0));
  });

  test("nothing is lost where there is no room to keep it", () => {
    fc.assert(
      fc.property(someBatches, fc.integer({ min: 1, max: 6 }), (batches, rowsMax) => {
        const worker = workerOf({ gradients: { topK: 0.1 } }, rowsMax);
        const sent: RowsByKey = new Map();
        for (const samples of batches) {
          const rows = worker.push(samples);
          for (const [name, row] of sentBy(rows)) {
            const [table, key] = name.split("/").map(Number);
            addRow(sent, { table: table!, key: key! }, row);
          }
          rows.settle();
          expect(worker.residuals.rows).toBeLessThanOrEqual(rowsMax);
        }
        expectAllThere(batches, sent, keptBy(worker), 0);
      }),
      { numRuns: 50 },
    );
  });

  test("frames have their keys as any other: by partition, table and key, ascending, with their generations", () => {
    fc.assert(
      fc.property(someSamples({ keysMax: KEYS }), (samples) => {
        const rows = workerOf({ gradients: { topK: 0.5 } }).push(samples);
        for (const n of rows.route.nodes.keys()) {
          const push = rows.push(n);
          expect([...push.partitions]).toEqual([...new Set(push.partitions)].toSorted((a, b) => a - b));
          expect(push.generations).toEqual(push.partitions.map((p) => map.entries[p]!.generation));
          const all = workerOf({}).push(samples).push(n);
          const named = (f: typeof push): string[] => {
            const names: string[] = [];
            eachKey(frame({ opcode: "push", ...f }), ({ table, key }) => names.push(`${table}/${key}`));
            return names;
          };
          const sent = named(push);
          expect(named(all).filter((name) => sent.includes(name))).toEqual(sent);
        }
      }),
      { numRuns: 50 },
    );
  });
});

test("rounding without error feedback keeps nothing", () => {
  const worker = workerOf({ gradients: "bfloat16" });
  const samples = {
    keys: [[1, 2]] as const,
    rowGrads: new Float32Array(5).fill(1.001),
    denseGrads: new Float32Array(5),
  };
  const rows = worker.push(samples);
  expect(sentBy(rows).get("1/1")).toEqual(new Float32Array(3).fill(1));
  rows.settle();
  expect(worker.residuals.rows).toBe(0);
});

test("a push that was made with residuals which another one changed since is not settled", () => {
  const worker = workerOf({ gradients: { topK: 0.5 } });
  const samples = { keys: [[1, 2]] as const, rowGrads: new Float32Array(5).fill(1), denseGrads: new Float32Array(5) };
  const [first, second] = [worker.push(samples), worker.push(samples)];
  sentBy(first);
  sentBy(second);
  first.settle();
  expect(() => second.settle()).toThrow(/settled after another one/);
});
