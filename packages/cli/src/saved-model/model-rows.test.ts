import type { Batch } from "@volary/core/data";
import { initializerOf, type TableSpec } from "@volary/core/partition";
import { expect, test } from "vitest";
import { packRows, rowLookup } from "./model-rows.ts";
import type { SavedModel } from "./saved-model.ts";

const route: TableSpec = {
  id: 4,
  name: "route",
  dim: 2,
  initializer: { kind: "uniform", min: -0.05, max: 0.05 },
  optimizer: { kind: "sgd", learningRate: 0.1 },
};
const hour: TableSpec = { ...route, id: 5, name: "hour", dim: 1, initializer: { kind: "constant", value: 9 } };

const saved = {
  manifest: { seed: 3, tables: [route, hour] },
  tables: new Map([
    ["route", { keys: BigUint64Array.of(7n, 1n << 40n), rows: Float32Array.of(1, 2, 3, 4) }],
    ["hour", { keys: BigUint64Array.of(0n), rows: Float32Array.of(5) }],
  ]),
} as unknown as SavedModel;

const pairs = (...keys: bigint[]): Uint32Array => new Uint32Array(BigUint64Array.from(keys).buffer);

test("packRows() puts trained rows and first values side by side, sample by sample", () => {
  const batch: Batch = {
    samples: 3,
    keys: new Map([
      ["from", pairs(1n << 40n, 7n, 8n)],
      ["at", pairs(0n, 1n, 0n)],
    ]),
    numbers: new Map(),
    label: new Float32Array(3),
  };
  const embeddings = [
    { input: "a", field: "at", table: "hour", dim: 1 },
    { input: "b", field: "from", table: "route", dim: 2 },
  ];
  const first = new Float32Array(2);
  initializerOf(route.initializer, { seed: 3, table: 4 })(8, 0, first, 0, 2);
  expect([...packRows({ embeddings, lookup: rowLookup(saved), batch })]).toEqual([5, 3, 4, 9, 1, 2, 5, ...first]);
});
