/** The data set of the demo, as everything measured on it assumes it to be. */
import {
  atLeast,
  bucket,
  columnsOf,
  cross,
  hourOf,
  npmFile,
  openDataset,
  parquet,
  since,
  slotOf,
  type ColumnTable,
  type MemoryDataset,
} from "@volary/core/data";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { readColumns } from "./read-data.ts";

const spec = parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
  fields: {
    origin: "origin",
    route: cross("origin", "destination"),
    distance: bucket("distance", 50),
    routeHour: cross("origin", "destination", hourOf("date")),
    routeSlot: cross("origin", "destination", slotOf("date")),
  },
  label: atLeast("delay", 15),
  test: since("date", "2001-06-13T08:02"),
});
const fields = Object.keys(spec.fields);

describe("the flights data", () => {
  let table: ColumnTable;
  let dataset: MemoryDataset;

  beforeAll(async () => {
    const baseDirs = [fileURLToPath(new URL("../../../../examples/flights", import.meta.url))];
    table = await readColumns(spec, { baseDirs, columns: columnsOf(spec) });
    dataset = openDataset({ spec, table, demands: fields.map((name) => ({ name, as: "keys" as const })) });
  });

  it("has 3,000,000 rows, of which those before 2001-06-13T08:02 are for training", () => {
    expect(table.rows).toBe(3_000_000);
    expect([dataset.trainRows, dataset.testRows]).toEqual([2_699_997, 300_003]);
    expect([...table.columns.keys()]).toEqual(["date", "delay", "destination", "distance", "origin"]);
  });

  it("has the fingerprint that every reader must come to", () => {
    expect(dataset.fingerprint).toBe("1b21ed1606cd0d320481dda0c6c4e1ec");
  });

  it("has as many late flights and distinct keys as were counted", () => {
    const keys = new Map(fields.map((name) => [name, new Set<bigint>()]));
    const late = { train: 0, test: 0 };
    for (const split of ["train", "test"] as const) {
      const rows = split === "train" ? dataset.trainRows : dataset.testRows;
      for (let from = 0; from < rows; from += 65_536) {
        const samples = Uint32Array.from({ length: Math.min(65_536, rows - from) }, (_, i) => from + i);
        const batch = dataset.read(split, samples);
        for (const label of batch.label) late[split] += label;
        for (const [name, pairs] of batch.keys) addAll(keys.get(name)!, new BigUint64Array(pairs.buffer));
      }
    }
    expect((100 * late.train) / dataset.trainRows).toBeCloseTo(20.59, 2);
    expect((100 * late.test) / dataset.testRows).toBeCloseTo(23.52, 2);
    expect(Object.fromEntries([...keys].map(([name, distinct]) => [name, distinct.size]))).toEqual({
      origin: 229,
      route: 3_399,
      distance: 71,
      routeHour: 41_135,
      routeSlot: 163_904,
    });
  });
});

function addAll(distinct: Set<bigint>, keys: BigUint64Array): void {
  for (const key of keys) distinct.add(key);
}
