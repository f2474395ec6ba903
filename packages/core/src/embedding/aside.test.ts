/** Rows that every batch needs beside those of its samples: they travel in the same frames, and touch no sample. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { copyAside, gatherRows, placeAside, sumRowGradients } from "./gather.ts";
import { UniqueKeys } from "./unique-keys.ts";

const DIM = 4;
const placement = { partitionOf: (lo: number, hi: number) => (lo * 3 + hi) % 5, nodeOf: [2, 0, 1, 2, 0], nodes: 3 };
const uses = [
  { table: 1, dim: 3 },
  { table: 2, dim: 1 },
];
const chunks = (n: number) => Uint32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? i / 2 : 0));

test("what is aside comes back in the order of its keys, and samples see nothing of it", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(12), fc.nat(12)), { maxLength: 20 }),
      fc.integer({ min: 0, max: 9 }),
      fc.nat(DIM - 1),
      (samples, rowsAside, missing) => {
        const keys = [0, 1].map((f) => ({ keys: Uint32Array.from(samples.flatMap((of) => [of[f]!, 0])) }));
        const of = { keys, samples: samples.length, placement };
        const without = new UniqueKeys(uses).collect(of);
        const plan = new UniqueKeys(uses, { table: 0, dim: DIM, keys: chunks(rowsAside) }).collect(of);
        expect(plan.uniqueKeys).toBe(without.uniqueKeys + rowsAside);
        expect(plan.tables[0]).toBe(rowsAside >= 0 ? 0 : 1);

        // Every float of the row buffer says which key it belongs to.
        const rows = new Float32Array(plan.rowFloats);
        const expected: number[] = [];
        for (const node of plan.nodes) {
          let [at, k] = [node.from, 0];
          for (let s = 0; s < node.partitions.length; s++) {
            for (const [t, table] of plan.tables.entries()) {
              for (let i = 0; i < node.counts[s * plan.tables.length + t]!; i++, k++) {
                const key = node.keys[2 * k]!;
                expect(placement.partitionOf(key, 0)).toBe(node.partitions[s]);
                const dim = [DIM, 3, 1][table]!;
                for (let d = 0; d < dim; d++) rows[at++] = table * 1000 + key * 10 + d;
              }
            }
          }
          expect(at).toBe(node.to);
        }
        const floats = Math.max(0, rowsAside * DIM - missing);
        for (let i = 0; i < floats; i++) expected.push(Math.floor(i / DIM) * 10 + (i % DIM));
        const flat = new Float32Array(floats);
        copyAside({ plan, rows, flat, dim: DIM });
        expect([...flat]).toEqual(expected);

        const packed = new Float32Array(samples.length * 4);
        gatherRows({ plan, rows, packed });
        expect([...packed]).toEqual(
          samples.flatMap(([a, b]) => [1000 + a * 10, 1001 + a * 10, 1002 + a * 10, 2000 + b * 10]),
        );

        const sums = sumRowGradients({ plan, packed: new Float32Array(packed.length).fill(1) });
        const grads = Float32Array.from({ length: floats }, (_, i) => i + 1);
        placeAside({ plan, sums, flat: grads, dim: DIM });
        const all = new Float32Array(plan.rowFloats);
        for (const [n, { from }] of plan.nodes.entries()) all.set(sums[n]!, from);
        const back = new Float32Array(floats);
        copyAside({ plan, rows: all, flat: back, dim: DIM });
        expect(back).toEqual(grads);
        const total = all.reduce((sum, each) => sum + each, 0);
        expect(total).toBe(samples.length * 4 + (floats * (floats + 1)) / 2);
      },
    ),
  );
});

test("a table cannot have rows aside of another width than a use's", () => {
  expect(() => new UniqueKeys(uses, { table: 1, dim: 2, keys: chunks(1) })).toThrow(
    new RangeError("table 1 is used with rows of 3 and of 2 floats"),
  );
});
