import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gatherRows, packedWidth, sumRowGradients } from "./gather.ts";
import type { KeyPlan } from "./key-plan.ts";
import type { RowUse } from "./row-use.ts";
import { UniqueKeys } from "./unique-keys.ts";

const NODES = 3;
const placement = { partitionOf: (lo: number, hi: number) => (lo + hi) % 5, nodeOf: [2, 0, 1, 2, 0], nodes: NODES };

interface Case {
  uses: RowUse[];
  keys: number[][];
}

const someCase: fc.Arbitrary<Case> = fc
  .record({ F: fc.integer({ min: 1, max: 4 }), samples: fc.integer({ min: 0, max: 20 }) })
  .chain(({ F, samples }) =>
    fc.record({
      uses: fc.array(fc.constantFrom({ table: 1, dim: 3 }, { table: 2, dim: 1 }), { minLength: F, maxLength: F }),
      keys: fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: samples, maxLength: samples }), {
        minLength: F,
        maxLength: F,
      }),
    }),
  );

function planOf({ uses, keys }: Case): KeyPlan {
  const words = keys.map((list) => ({ keys: Uint32Array.from(list.flatMap((key) => [key, 0])) }));
  return new UniqueKeys(uses).collect({ keys: words, samples: keys[0]!.length, placement });
}

/** Float d of the row of `key` in `table`. */
const weight = (table: number, key: number, d: number): number => table * 1000 + key * 10 + d;

/** Calls `visit` with (table, key, dim, where the row begins) for every unique key, in frame order. */
function forEachRow(
  plan: KeyPlan,
  uses: readonly RowUse[],
  visit: (table: number, key: number, dim: number, at: number) => void,
): void {
  for (const node of plan.nodes) {
    let at = node.from;
    let k = 0;
    for (let s = 0; s < node.partitions.length; s++) {
      for (const [t, table] of plan.tables.entries()) {
        const { dim } = uses.find((use) => use.table === table)!;
        for (let i = 0; i < node.counts[s * plan.tables.length + t]!; i++) {
          visit(table, node.keys[2 * k++]!, dim, at);
          at += dim;
        }
      }
    }
  }
}

function rowsOf(plan: KeyPlan, uses: readonly RowUse[]): Float32Array {
  const flat = new Float32Array(plan.rowFloats);
  forEachRow(plan, uses, (table, key, dim, at) => {
    for (let d = 0; d < dim; d++) flat[at + d] = weight(table, key, d);
  });
  return flat;
}

describe("gatherRows", () => {
  it("lays every occurrence's row into its sample's packed row", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        const packed = new Float32Array(plan.samples * packedWidth(plan)).fill(NaN);
        gatherRows({ plan, rows: rowsOf(plan, c.uses), packed });
        const expected = Array.from({ length: plan.samples }, (_, b) =>
          c.uses.flatMap(({ table, dim }, f) =>
            Array.from({ length: dim }, (_, d) => weight(table, c.keys[f]![b]!, d)),
          ),
        ).flat();
        expect([...packed]).toEqual(expected);
      }),
    );
  });

  it("refuses rows that are too few", () => {
    const plan = planOf({ uses: [{ table: 1, dim: 3 }], keys: [[0]] });
    expect(() => gatherRows({ plan, rows: new Float32Array(2), packed: new Float32Array(3) })).toThrow(
      new RangeError("got 2 floats of rows; those of the plan have 3"),
    );
  });

  it("refuses a packed array of another length", () => {
    const plan = planOf({ uses: [{ table: 1, dim: 3 }], keys: [[0]] });
    expect(() => sumRowGradients({ plan, packed: new Float32Array(4) })).toThrow(
      new RangeError("packed rows have 4 floats; 1 samples need 3"),
    );
  });
});

describe("sumRowGradients", () => {
  it("sums each unique key's gradients, as a Map of sums does", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        const packed = Float32Array.from({ length: plan.samples * packedWidth(plan) }, (_, i) => (i % 17) - 8);
        const expected = new Map<string, number>();
        let at = 0;
        for (let b = 0; b < plan.samples; b++) {
          for (const [f, { table, dim }] of c.uses.entries()) {
            for (let d = 0; d < dim; d++) {
              const name = `${table}/${c.keys[f]![b]}/${d}`;
              expected.set(name, (expected.get(name) ?? 0) + packed[at++]!);
            }
          }
        }
        const sums = sumRowGradients({ plan, packed });
        expect(sums.map(({ length }) => length)).toEqual(plan.nodes.map(({ from, to }) => to - from));
        const flat = Float32Array.from(sums.flatMap((values) => [...values]));
        forEachRow(plan, c.uses, (table, key, dim, from) => {
          for (let d = 0; d < dim; d++) expect(flat[from + d]).toBe(expected.get(`${table}/${key}/${d}`));
        });
      }),
    );
  });

  it("adds in the order of the samples, so that rounding is the same every time", () => {
    const c = { uses: [{ table: 2, dim: 1 }], keys: [[1, 1, 1]] };
    const sums = sumRowGradients({ plan: planOf(c), packed: Float32Array.of(2 ** 25, 1, -(2 ** 25)) });
    expect(sums.flatMap((values) => [...values])).toEqual([0]); // (2²⁵ + 1) rounds to 2²⁵; another order gives 1
  });
});
