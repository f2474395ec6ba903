/**
 * Pushes, sets, reads and deletions in any order, with every optimizer, dtype and bound: rows in an arena are what
 * plain arithmetic, row by row, makes of them, to the bit.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  adagrad,
  adam,
  adamw,
  ftrl,
  loadServerUpdate,
  momentum,
  rowwiseAdagrad,
  serverUpdate,
  sgd,
  type OptimizerSpec,
} from "../optimizer/index.ts";
import { keysOf, pairsOf } from "../partition/test-segment.ts";
import type { ExportedRows } from "./exported-rows.ts";
import { OracleRows } from "./rows.oracle.ts";
import { TableMemory } from "./table-memory.ts";
import type { TableSpec } from "./table-spec.ts";
import { ArrayRows, testShare } from "./test-rows.ts";

const SEED = 3;

const custom: OptimizerSpec = { kind: "custom", update: "halve", sha256: "0".repeat(64), options: {} };
loadServerUpdate(
  custom,
  serverUpdate({
    name: "halve",
    stateWidth: () => 1,
    update({ weights, state, gradient }) {
      state[0]! += 1;
      for (let i = 0; i < weights.length; i++) weights[i] = weights[i]! / 2 - gradient[i]!;
    },
  }),
);

const optimizers: [string, OptimizerSpec][] = [
  ["sgd", sgd()],
  ["momentum", momentum()],
  ["Nesterov's momentum", momentum({ nesterov: true })],
  ["adagrad", adagrad()],
  ["rowwiseAdagrad", rowwiseAdagrad()],
  ["adam", adam()],
  ["adamw", adamw()],
  ["ftrl", ftrl({ l1: 0.01, l2: 0.1 })],
  ["sum", { kind: "sum" }],
  ["max", { kind: "max" }],
  ["set", { kind: "set" }],
  ["none", { kind: "none" }],
  ["a server update of one's own", custom],
];

type Action =
  | { what: "update" | "set"; keys: bigint[]; values: number[] }
  | { what: "read" | "delete"; keys: bigint[] };

const key = fc.oneof(
  { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: 60n }) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  { weight: 1, arbitrary: fc.constantFrom(2n ** 32n, 2n ** 63n, 2n ** 64n - 1n) },
);
const ascending = fc
  .uniqueArray(key, { minLength: 1, maxLength: 40 })
  .map((keys) => keys.sort((a, b) => (a < b ? -1 : 1)));
const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -2, max: 2 });

function actions(dim: number): fc.Arbitrary<Action[]> {
  const withValues = (what: "update" | "set") =>
    ascending.chain((keys) =>
      fc
        .array(float, { minLength: keys.length * dim, maxLength: keys.length * dim })
        .map((values): Action => ({ what, keys, values })),
    );
  const action = fc.oneof(
    { weight: 6, arbitrary: withValues("update") },
    { weight: 1, arbitrary: withValues("set") },
    { weight: 1, arbitrary: ascending.map((keys): Action => ({ what: "read", keys })) },
    { weight: 2, arbitrary: ascending.map((keys): Action => ({ what: "delete", keys })) },
  );
  return fc.array(action, { minLength: 1, maxLength: 25 });
}

function read(rows: ArrayRows, keys: readonly bigint[]): number[] {
  const out = new Float32Array(keys.length * rows.dim);
  rows.readArrays(pairsOf(keys), 0, keys.length, out, 0);
  return [...out];
}

/** All rows by key, from exports of a few rows each. */
function exported(rows: ArrayRows): Map<bigint, unknown> {
  const all = new Map<bigint, unknown>();
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const part: ExportedRows = rows.export(cursor, 7);
    for (const [i, each] of keysOf(part.keys).entries()) {
      expect(all.has(each)).toBe(false);
      const weights = part.weights.slice(i * rows.dim, (i + 1) * rows.dim);
      const state = part.states.slice(i * rows.stateWidth, (i + 1) * rows.stateWidth);
      all.set(each, { floats: [...weights, ...state], updates: part.updates[i], lastStep: part.lastSteps[i] });
    }
    cursor = part.next;
  }
  return all;
}

function agree(spec: TableSpec, list: readonly Action[], share = testShare()): void {
  const rows = new ArrayRows(spec, SEED, share);
  const oracle = new OracleRows(spec, SEED);
  let step = 0;
  for (const { what, keys, ...action } of list) {
    step++;
    const values = "values" in action ? Float32Array.from(action.values) : new Float32Array(0);
    const pairs = pairsOf(keys);
    if (what === "update") {
      rows.updateArrays(pairs, 0, keys.length, values, 0, step);
      oracle.update(keys, values, step);
    } else if (what === "set") {
      rows.setArrays(pairs, 0, keys.length, values, 0, step);
      oracle.set(keys, values, step);
    } else if (what === "delete") {
      rows.deleteArrays(pairs);
      oracle.delete(keys);
    }
    expect(read(rows, keys)).toEqual(oracle.read(keys));
  }
  expect(rows.count).toBe(oracle.rows.size);
  const expected = [...oracle.rows].map(([each, row]) => [each, { ...row, floats: [...row.floats] }] as const);
  expect(exported(rows)).toEqual(new Map(expected));
  expect(rows.share.bytes).toBe(rows.bytes());
  const used = rows.share.arena.bytesUsed;
  const bytes = rows.bytes();
  rows.dispose();
  expect([rows.bytes(), rows.share.bytes, used - rows.share.arena.bytesUsed]).toEqual([0, 0, bytes]);
}

function specs(optimizer: OptimizerSpec): fc.Arbitrary<TableSpec> {
  return fc.record({
    id: fc.constant(4),
    name: fc.constant("t"),
    dim: fc.integer({ min: 1, max: 9 }),
    dtype: fc.constantFrom("float32" as const, "float32" as const, "bfloat16" as const, "int8" as const),
    initializer: fc.constantFrom(
      { kind: "uniform" as const, min: -1, max: 1 },
      { kind: "constant" as const, value: 0.3 },
    ),
    optimizer: fc.constant(optimizer),
  });
}

describe("rows in an arena are bit for bit those of a Map", () => {
  test.each(optimizers)("with %s", (_, optimizer) => {
    fc.assert(
      fc.property(
        specs(optimizer).chain((spec) => fc.tuple(fc.constant(spec), actions(spec.dim))),
        ([spec, list]) => agree(spec, list),
      ),
      { numRuns: 40 },
    );
  });

  test("with l2, clipping and maxNorm", () => {
    const bounds = { l2: 0.01, maxNorm: 1.5, clip: { value: 1, norm: 1.2 } };
    fc.assert(
      fc.property(
        fc
          .constantFrom(sgd(), adam())
          .chain((optimizer) =>
            specs(optimizer).chain((spec) => fc.tuple(fc.constant({ ...spec, ...bounds }), actions(spec.dim))),
          ),
        ([spec, list]) => agree(spec, list),
      ),
      { numRuns: 60 },
    );
  });

  /** Keys that come, go and come back. */
  const THOUSANDS: { spec: TableSpec; list: Action[] } = {
    spec: { id: 4, name: "t", dim: 4, initializer: { kind: "uniform", min: -1, max: 1 }, optimizer: adam() },
    list: Array.from({ length: 6 }, (_, round): Action[] => {
      const keys = Array.from({ length: 3000 }, (_key, i) => BigInt(round * 700 + i * (1 + (round % 3))));
      const values = Array.from({ length: 4 * keys.length }, (_value, i) => Math.fround(((i * 7) % 13) / 13));
      const gone = Array.from({ length: 1200 }, (_key, i) => BigInt(round * 500 + 2 * i));
      return [
        { what: "update", keys, values },
        { what: "delete", keys: gone },
      ];
    }).flat(),
  };

  test("over thousands of rows, which come, go and come back", () => {
    agree(THOUSANDS.spec, THOUSANDS.list);
  });

  test("at addresses above 2 GiB", () => {
    const share = new TableMemory({ arenaBytes: 2 ** 32, bytesMax: 2 ** 31 }).shareOf(0, { partitions: 1, places: 1 });
    share.arena.allocate(3 * 2 ** 30);
    agree(THOUSANDS.spec, THOUSANDS.list, share);
    agree({ ...THOUSANDS.spec, dtype: "bfloat16" }, THOUSANDS.list.slice(0, 2), share);
  });
});
