import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KeyPlacement } from "./key-plan.ts";
import type { RowUse, UseKeys } from "./row-use.ts";
import { UniqueKeys } from "./unique-keys.ts";

const partitionsOf =
  (P: number): KeyPlacement["partitionOf"] =>
  (lo, hi) =>
    ((lo ^ (hi * 7)) >>> 0) % P;

function wordsOf(keys: readonly bigint[]): Uint32Array {
  return Uint32Array.from(keys.flatMap((key) => [Number(key & 0xffff_ffffn), Number(key >> 32n)]));
}

function bigintsOf(words: Uint32Array): bigint[] {
  return Array.from({ length: words.length / 2 }, (_, i) => BigInt(words[2 * i]!) | (BigInt(words[2 * i + 1]!) << 32n));
}

const byValue = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

interface Case {
  uses: RowUse[];
  keys: bigint[][];
  nodeOf: number[];
  nodes: number;
}

/** Small and clustered keys, so that there are duplicates, and full-range ones, so that all 64 bits matter. */
const someKey = fc.oneof(
  fc.bigInt({ min: 0n, max: 9n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n),
);

const someCase: fc.Arbitrary<Case> = fc
  .record({
    F: fc.integer({ min: 1, max: 5 }),
    samples: fc.integer({ min: 0, max: 40 }),
    nodes: fc.integer({ min: 1, max: 4 }),
  })
  .chain(({ F, samples, nodes }) =>
    fc.record({
      uses: fc.array(fc.constantFrom({ table: 3, dim: 2 }, { table: 900, dim: 1 }, { table: 7, dim: 5 }), {
        minLength: F,
        maxLength: F,
      }),
      keys: fc.array(fc.array(someKey, { minLength: samples, maxLength: samples }), { minLength: F, maxLength: F }),
      nodeOf: fc.array(fc.integer({ min: 0, max: nodes - 1 }), { minLength: 1, maxLength: 9 }),
      nodes: fc.constant(nodes),
    }),
  );

/** The same plan, by Maps and BigInts: `node/partition/table/key` of every unique key, in frame order. */
function oracle({ uses, keys, nodeOf }: Case) {
  const partitionOf = partitionsOf(nodeOf.length);
  const rows = new Map<string, { node: number; partition: number; table: number; dim: number; key: bigint }>();
  for (const [f, use] of uses.entries()) {
    for (const key of keys[f]!) {
      const [lo, hi] = wordsOf([key]);
      const partition = partitionOf(lo!, hi!);
      rows.set(`${use.table}/${key}`, { node: nodeOf[partition]!, partition, ...use, key });
    }
  }
  return [...rows.values()].toSorted(
    (a, b) => a.node - b.node || a.partition - b.partition || a.table - b.table || byValue(a.key, b.key),
  );
}

function collect({ uses, keys, nodeOf, nodes }: Case, unique = new UniqueKeys(uses)) {
  const placement = { partitionOf: partitionsOf(nodeOf.length), nodeOf, nodes };
  return unique.collect({ keys: keys.map((list) => ({ keys: wordsOf(list) })), samples: keys[0]!.length, placement });
}

describe("UniqueKeys", () => {
  it("lists each node's unique keys by partition, table and unsigned key, like a naive sort", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = collect(c);
        const expected = oracle(c);
        expect(plan.uniqueKeys).toBe(expected.length);
        expect([...plan.tables]).toEqual([...new Set(c.uses.map(({ table }) => table))].toSorted((a, b) => a - b));
        const T = plan.tables.length;
        const found = plan.nodes.flatMap((node, n) => {
          const list = bigintsOf(node.keys);
          let at = 0;
          return [...node.partitions].flatMap((partition, s) =>
            [...plan.tables].flatMap((table, t) =>
              list.slice(at, (at += node.counts[s * T + t]!)).map((key) => `${n}/${partition}/${table}/${key}`),
            ),
          );
        });
        expect(found).toEqual(
          expected.map(({ node, partition, table, key }) => `${node}/${partition}/${table}/${key}`),
        );
        expect(
          plan.nodes.every(({ partitions }) => partitions.every((p, i) => i === 0 || p > partitions[i - 1]!)),
        ).toBe(true);
      }),
    );
  });

  it("tells where each occurrence's row begins", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = collect(c);
        const offsets = new Map<string, number>();
        let floats = 0;
        for (const { table, key, dim } of oracle(c)) {
          offsets.set(`${table}/${key}`, floats);
          floats += dim;
        }
        expect(plan.rowFloats).toBe(floats);
        expect(plan.nodes.map(({ from }) => from).concat(floats)).toEqual([0, ...plan.nodes.map(({ to }) => to)]);
        const F = c.uses.length;
        for (const [f, { table }] of c.uses.entries()) {
          for (const [b, key] of c.keys[f]!.entries())
            expect(plan.offsets[b * F + f]).toBe(offsets.get(`${table}/${key}`));
        }
      }),
    );
  });

  it("gives what lives on to the caller: a later batch changes nothing of an earlier plan", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const unique = new UniqueKeys(c.uses);
        const plan = collect(c, unique);
        const before = structuredClone(plan);
        collect({ ...c, keys: c.keys.map((keys) => keys.map((key) => key ^ 5n)) }, unique);
        expect(plan).toEqual(before);
      }),
    );
  });

  it("lists a node without keys, with nothing", () => {
    const plan = collect({ uses: [{ table: 1, dim: 2 }], keys: [[0n, 0n]], nodeOf: [1], nodes: 3 });
    expect(plan.nodes.map(({ keys, from, to }) => [keys.length, from, to])).toEqual([
      [0, 0, 0],
      [2, 0, 2],
      [0, 2, 2],
    ]);
  });

  it("refuses keys of another length, naming the use", () => {
    const unique = new UniqueKeys([{ table: 1, dim: 1 }]);
    const placement = { partitionOf: () => 0, nodeOf: [0], nodes: 1 };
    expect(() => unique.collect({ keys: [{ keys: new Uint32Array(3) }], samples: 2, placement })).toThrow(
      new RangeError("keys of use 0 have 3 words; 2 samples need 4"),
    );
    expect(() => unique.collect({ keys: [], samples: 2, placement })).toThrow(
      new RangeError("got keys of 0 uses; the model has 1"),
    );
  });

  it("refuses lists for one key, one key for lists, and offsets that do not fit their keys", () => {
    const placement = { partitionOf: () => 0, nodeOf: [0], nodes: 1 };
    const collectWith = (usage: RowUse["usage"], use: UseKeys) => () =>
      new UniqueKeys([{ table: 1, dim: 1, usage }]).collect({ keys: [use], samples: 2, placement });
    const keys = new Uint32Array(6);
    const list = { kind: "sequence", length: 2, mask: "none" } as const;
    expect(collectWith(undefined, { keys, offsets: Uint32Array.of(0, 1, 3) })).toThrow(
      new RangeError("keys of use 0 are lists; it takes one key a sample"),
    );
    expect(collectWith(list, { keys })).toThrow(new RangeError("keys of use 0 come without offsets; it takes lists"));
    for (const offsets of [
      [0, 1, 2],
      [1, 2, 3],
      [0, 3],
    ]) {
      expect(collectWith(list, { keys, offsets: Uint32Array.from(offsets) })).toThrow(
        /keys of use 0 have 6 words and \d offsets, the last \d; 2 samples need 3 offsets from 0 to half the words/,
      );
    }
  });

  it("refuses one table with two widths", () => {
    expect(
      () =>
        new UniqueKeys([
          { table: 4, dim: 2 },
          { table: 4, dim: 3 },
        ]),
    ).toThrow(new RangeError("table 4 is used with rows of 2 and of 3 floats"));
  });

  it("refuses a placement that points nowhere", () => {
    const unique = new UniqueKeys([{ table: 1, dim: 1 }]);
    const collectWith = (placement: KeyPlacement) => () =>
      unique.collect({ keys: [{ keys: new Uint32Array(2) }], samples: 1, placement });
    expect(collectWith({ partitionOf: () => 2, nodeOf: [0, 0], nodes: 1 })).toThrow(
      new RangeError("partitionOf gave 2; there are 2 partitions"),
    );
    expect(collectWith({ partitionOf: () => 0, nodeOf: [0, 1], nodes: 1 })).toThrow(
      new RangeError("partition 1 is on node 1; nodes count from 0 to 0"),
    );
  });
});
