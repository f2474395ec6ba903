import { describe, expect, test } from "vitest";
import { keysOf, pairsOf } from "../partition/test-segment.ts";
import { sgd } from "../optimizer/index.ts";
import { Admission } from "./admission.ts";
import { MemoryColdStore } from "./cold-store.ts";
import { Eviction } from "./eviction.ts";
import type { MemoryShare } from "./table-memory.ts";
import type { AdmissionSpec, EvictionSpec, TableSpec } from "./table-spec.ts";
import { ArrayRows, testShare } from "./test-rows.ts";

const TABLE: TableSpec = {
  id: 1,
  name: "t",
  dim: 1,
  initializer: { kind: "zeros" },
  optimizer: sgd({ learningRate: 1 }),
};
const admission: AdmissionSpec = { kind: "count", updates: 2, counter: { kind: "exact", keysMax: 100 } };
const eviction: EvictionSpec = { rowsMax: 16, order: "least-recent" };
const alone = { partition: 0, partitions: 1 };

/** A share whose rows may go to disk. */
function spillingShare(): MemoryShare {
  const open = (recordBytes: number) => new MemoryColdStore(recordBytes);
  return { ...testShare(), cold: { open, rows: 0, bytes: 0, rowsSpilled: 0 } };
}

class CaredRows extends ArrayRows {
  push(step: number, ...keys: number[]): void {
    this.updateArrays(pairsOf(keys), 0, keys.length, new Float32Array(keys.length).fill(1), 0, step);
  }

  all(): [bigint, number][] {
    const { keys, updates } = this.export(0, 1000);
    return keysOf(keys).map((key, i) => [key, updates[i]!]);
  }
}

describe("rows that may go to disk", () => {
  test("are admitted once: a key whose row is on disk is no stranger", () => {
    const share = spillingShare();
    const rows = new CaredRows({ ...TABLE, admission }, 1, share, {
      admission: new Admission(admission, alone),
    });
    rows.push(1, 1, 2, 3);
    rows.push(2, 2, 3);
    rows.makeRoom(2);
    expect(share.cold).toMatchObject({ rows: 2 });
    rows.push(3, 1, 2, 3, 4);
    expect(rows.all().toSorted(([a], [b]) => Number(a - b))).toEqual([
      [1n, 1],
      [2n, 2],
      [3n, 2],
    ]);
    expect(keysOf(rows.takeAdmitted())).toEqual([2n, 3n, 1n]);
  });

  test("stay in memory in a table that drops rows", () => {
    const share = spillingShare();
    const rows = new CaredRows({ ...TABLE, eviction }, 1, share, { eviction: new Eviction(eviction, alone) });
    rows.push(1, 1, 2, 3);
    rows.makeRoom(3);
    expect(share.cold).toMatchObject({ rows: 0, rowsSpilled: 0 });
    rows.push(2, ...Array.from({ length: 14 }, (_, i) => 10 + i));
    expect(keysOf(rows.evict({ step: 2 }))).toEqual([1n, 2n]);
    expect(rows.count).toBe(15);
  });
});

test("an export of a table that lost all its rows ends", () => {
  const eachStep: EvictionSpec = { expireSteps: 1, order: "least-recent" };
  const rows = new CaredRows({ ...TABLE, eviction: eachStep }, 1, testShare(), {
    eviction: new Eviction(eachStep, alone),
  });
  rows.push(1, 1, 2, 3);
  expect(rows.evict({ step: 2 })).toHaveLength(6);
  expect(rows.export(0, 10)).toMatchObject({ keys: new Uint32Array(0), next: undefined });
});
