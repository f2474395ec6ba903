import { describe, expect, it } from "vitest";
import { tableSpecSchema, type TableSpec } from "../../table/table-spec.ts";
import { afterUpdates, countingBloom, exactCounter, leastFrequent, leastRecent } from "./vocabulary.ts";

const TABLE: TableSpec = {
  id: 1,
  name: "item",
  dim: 2,
  initializer: { kind: "zeros" },
  optimizer: { kind: "sgd", learningRate: 1 },
};

describe("afterUpdates", () => {
  it.each([1, 0, 2.5, 256, "3"])("refuses %s updates", (updates) => {
    expect(() => afterUpdates(updates as number)).toThrow(
      new RangeError(
        `afterUpdates(): updates is ${JSON.stringify(updates)}; it must be an integer from 2 to 255, as 3`,
      ),
    );
  });

  it("refuses a counter that is none", () => {
    expect(() => afterUpdates(3, { keysMax: 9 } as never)).toThrow(
      new TypeError('afterUpdates(): counter is {"keysMax":9}; make it with exactCounter() or countingBloom()'),
    );
  });

  it("counts one by one unless told otherwise", () => {
    expect(afterUpdates(3)).toEqual({ kind: "count", updates: 3, counter: { kind: "exact", keysMax: 1_000_000 } });
    const counter = countingBloom({ keys: 50, falsePositives: 0.1 });
    expect(afterUpdates(2, counter)).toEqual({ kind: "count", updates: 2, counter });
  });
});

describe("counters", () => {
  it("refuse numbers out of their range and options they do not have", () => {
    expect(() => exactCounter({ keysMax: 0 })).toThrow(/^exactCounter\(\): keysMax is 0; it must be an integer from 1/);
    expect(() => exactCounter({ keys: 5 } as never)).toThrow(/"keys" is unknown; there are "keysMax"/);
    expect(() => countingBloom({} as never)).toThrow(/^countingBloom\(\): keys is undefined; it must be an integer/);
    expect(() => countingBloom({ keys: 5, falsePositives: 0 })).toThrow(
      new RangeError("countingBloom(): falsePositives is 0; it must be a number from 1e-9 to 0.5, as 0.01"),
    );
  });

  it("refuse a filter that would be too large", () => {
    expect(() => countingBloom({ keys: 4e9 })).toThrow(
      new RangeError(
        'countingBloom(): {"keys":4000000000} needs more than 4294967296 counters: lower keys, or allow more falsePositives',
      ),
    );
  });
});

describe("leastRecent and leastFrequent", () => {
  it("refuse numbers out of their range, options they do not have, and none at all", () => {
    expect(() => leastRecent({})).toThrow(
      new TypeError("leastRecent() needs rowsMax or expireSteps, as { rowsMax: 1e6 }: without them no row ever goes"),
    );
    expect(() => leastRecent({ rowsMax: 0.5 })).toThrow(
      /^leastRecent\(\): rowsMax is 0.5; it must be an integer from 1/,
    );
    expect(() => leastFrequent({ expireSteps: 0 })).toThrow(
      /^leastFrequent\(\): expireSteps is 0; it must be an integer/,
    );
    expect(() => leastFrequent({ rows: 5 } as never)).toThrow(/"rows" is unknown; there are "rowsMax", "expireSteps"/);
  });

  it("give what they were given", () => {
    expect(leastRecent({ expireSteps: 9 })).toEqual({ expireSteps: 9, order: "least-recent" });
    expect(leastFrequent({ rowsMax: 7 })).toEqual({ rowsMax: 7, order: "least-frequent" });
  });
});

describe("a table's spec", () => {
  it("takes what the functions make", () => {
    const spec = {
      ...TABLE,
      admission: afterUpdates(2, countingBloom({ keys: 9 })),
      eviction: leastRecent({ rowsMax: 4 }),
    };
    expect(tableSpecSchema.parse(spec)).toEqual(spec);
  });

  it.each([
    { eviction: { order: "least-recent" } },
    { eviction: { order: "random", rowsMax: 4 } },
    { eviction: { order: "least-recent", rowsMax: 0 } },
    { eviction: { order: "least-recent", expireSteps: 2 ** 32 } },
    { admission: { kind: "count", updates: 1, counter: { kind: "exact", keysMax: 4 } } },
    { admission: { kind: "count", updates: 2, counter: { kind: "exact", keysMax: 2 ** 33 } } },
    { admission: { kind: "count", updates: 2, counter: { kind: "bloom", keys: 2 ** 40, falsePositives: 0.01 } } },
    { admission: { kind: "count", updates: 2, counter: { kind: "bloom", keys: 5, falsePositives: 1e-12 } } },
  ])("refuses %j", (care) => {
    expect(tableSpecSchema.safeParse({ ...TABLE, ...care }).success).toBe(false);
  });
});
