import { describe, expect, test } from "vitest";
import { BadRows } from "./bad-rows.ts";

const found = (scope: "data" | "read", count: number, ...first: string[]) =>
  ({ type: "bad-rows", job: 1, scope, count, first }) as const;

describe("BadRows", () => {
  test("of data that every worker has whole count once", () => {
    const rows = new BadRows();
    for (const worker of [1, 2])
      rows.take({ worker, found: found("data", 3, "a.csv:2: no label"), inFirstEpoch: true });
    expect(rows.news).toEqual({ count: 3, first: ["a.csv:2: no label"] });
  });

  test("of streamed data add up in the first epoch, in which no two workers read the same", () => {
    const rows = new BadRows();
    rows.take({ worker: 1, found: found("read", 3, "a.csv:2: no label"), inFirstEpoch: true });
    rows.take({ worker: 2, found: found("read", 2, "a.csv:9: no label"), inFirstEpoch: true });
    expect(rows.news).toEqual({ count: 5, first: ["a.csv:2: no label", "a.csv:9: no label"] });
    rows.take({ worker: 2, found: found("read", 4), inFirstEpoch: false });
    expect(rows.count).toBe(5);
  });

  test("that a lost worker had read are not counted twice when another reads them", () => {
    const rows = new BadRows();
    rows.take({ worker: 1, found: found("read", 3), inFirstEpoch: true });
    rows.forget(1);
    rows.take({ worker: 2, found: found("read", 3), inFirstEpoch: true });
    expect(rows.count).toBe(3);
  });

  test("over the limit are told with their places and the remedies", () => {
    const rows = new BadRows();
    rows.take({ worker: 1, found: found("data", 3, "a.csv:2: no label", "a.csv:3: no label"), inFirstEpoch: true });
    expect(rows.fault(3)).toBeUndefined();
    expect(rows.fault(2)).toBe(
      "3 rows of the data cannot be used, and badRowsMax allows 2: a.csv:2: no label; a.csv:3: no label; and 1 more. " +
        "Mend them, fill what is missing with withDefault(…), or raise badRowsMax",
    );
  });
});
