import type { Batch } from "@volary/core/data";
import type { EmbeddingUse, NumberUse } from "@volary/core/job";
import { initializerOf, type TableSpec } from "@volary/core/table";
import { expect, test } from "vitest";
import { rowLookup, savedRows } from "./model-rows.ts";
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

const batch: Batch = {
  samples: 3,
  keys: new Map([
    ["from", pairs(1n << 40n, 7n, 8n)],
    ["at", pairs(0n, 1n, 0n)],
  ]),
  keyLists: new Map([["via", { keys: pairs(7n, 1n << 40n, 7n, 7n, 7n), offsets: Uint32Array.of(0, 2, 2, 5) }]]),
  numbers: new Map([["distance", Float32Array.of(10, 20, 30, 40, 50, 60)]]),
  numberLists: new Map([["share", { values: Float32Array.of(3, 1, 1, 1, 1), offsets: Uint32Array.of(0, 2, 2, 5) }]]),
  label: new Float32Array(3),
  weight: undefined,
  group: undefined,
};

function rowsOf(embeddings: readonly EmbeddingUse[], numbers: readonly NumberUse[] = []) {
  const model = { embeddings: [...embeddings], numbers: [...numbers], variables: [], outputs: 1 };
  return savedRows({ manifest: { model, tables: [route, hour] }, lookup: rowLookup(saved), batch });
}

test("savedRows() puts trained rows and first values side by side, sample by sample, and numbers too", () => {
  const usage = { kind: "one" } as const;
  const rows = rowsOf(
    [
      { input: "a", field: "at", table: "hour", dim: 1, usage },
      { input: "b", field: "from", table: "route", dim: 2, usage },
    ],
    [{ input: "distance", field: "distance", shape: [2] }],
  );
  const first = new Float32Array(2);
  initializerOf(route.initializer, { seed: 3, table: 4 })(8, 0, first, 0, 2);
  expect([...rows.gather()]).toEqual([5, 3, 4, 9, 1, 2, 5, ...first]);
  expect([...rows.numbers]).toEqual([10, 20, 30, 40, 50, 60]);
  expect(rows.masks).toBeUndefined();
});

test("savedRows() combines lists and pads sequences as training does", () => {
  const rows = rowsOf([
    { input: "a", field: "via", table: "route", dim: 2, usage: { kind: "pooled", combiner: "mean", weights: "share" } },
    { input: "b", field: "via", table: "route", dim: 2, usage: { kind: "sequence", length: 2, mask: "padding" } },
  ]);
  expect([...rows.gather()]).toEqual([
    1.5,
    2.5,
    1,
    2,
    3,
    4,
    0,
    0,
    0,
    0,
    0,
    0,
    expect.closeTo(1, 6),
    expect.closeTo(2, 6),
    1,
    2,
    1,
    2,
  ]);
  expect([...rows.masks!]).toEqual([1, 1, 0, 0, 1, 1]);
});

test("savedRows() refuses weights that are not as many as the keys, naming both fields", () => {
  const weights = "share";
  const uneven = {
    ...batch,
    numberLists: new Map([[weights, { values: new Float32Array(4), offsets: Uint32Array.of(0, 2, 3, 4) }]]),
  };
  const use = {
    input: "a",
    field: "via",
    table: "route",
    dim: 2,
    usage: { kind: "pooled", combiner: "sum", weights },
  } as const;
  const manifest = { model: { embeddings: [use], numbers: [], variables: [], outputs: 1 }, tables: [route, hour] };
  const read = (weight: Float32Array | undefined) =>
    savedRows({ manifest, lookup: rowLookup(saved), batch: { ...uneven, weight } });
  expect(() => read(undefined)).toThrow(
    /a sample has 0 keys in field "via" and 1 weights in field "share"; every key of a row needs one weight/,
  );
  // Bad rows weigh nothing, and may be uneven.
  expect([...read(Float32Array.of(1, 0, 0)).gather()].every(Number.isFinite)).toBe(true);
});
