/** Pooled lists and sequences, from keys to packed rows and back, against sums over plain arrays and a Map. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gatherRows, NO_ROW, packedWidth, rowIdsOf, sumRowGradients } from "./gather.ts";
import type { KeyPlan } from "./key-plan.ts";
import { floatsOf, type RowUsage, type RowUse, type UseKeys } from "./row-use.ts";
import { UniqueKeys } from "./unique-keys.ts";

const placement = { partitionOf: (lo: number) => lo % 5, nodeOf: [2, 0, 1, 2, 0], nodes: 3 };

/** One use: a list of keys, and of weights, for each sample. */
interface Lists {
  use: RowUse;
  keys: number[][];
  weights: number[][] | undefined;
}

const someUsage: fc.Arbitrary<RowUsage> = fc.oneof(
  fc.constant({ kind: "one" } as const),
  fc.record({
    kind: fc.constant("pooled" as const),
    combiner: fc.constantFrom("sum" as const, "mean" as const, "sqrtn" as const),
    length: fc.constantFrom(undefined, 1, 3),
  }),
  fc.record({
    kind: fc.constant("sequence" as const),
    length: fc.integer({ min: 1, max: 4 }),
    mask: fc.constantFrom("none" as const, "padding" as const, "zero-key" as const),
  }),
);

function someLists(samples: number): fc.Arbitrary<Lists> {
  const someUse = fc.record({
    table: fc.constantFrom({ table: 1, dim: 3 }, { table: 2, dim: 1 }),
    usage: someUsage,
    weighted: fc.boolean(),
  });
  return someUse.chain(({ table, usage, weighted }) => {
    const size = usage.kind === "one" ? { minLength: 1, maxLength: 1 } : { maxLength: 6 };
    const weight = fc.constantFrom(1, 0.5, 2, -1, 0, 0.25);
    return fc
      .array(fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), weight), size), {
        minLength: samples,
        maxLength: samples,
      })
      .map((lists) => ({
        use: { ...table, usage },
        keys: lists.map((list) => list.map(([key]) => key)),
        weights: usage.kind === "pooled" && weighted ? lists.map((list) => list.map(([, w]) => w)) : undefined,
      }));
  });
}

const someCase = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 6 }))
  .chain(([F, samples]) =>
    fc.record({ samples: fc.constant(samples), lists: fc.array(someLists(samples), { minLength: F, maxLength: F }) }),
  );
interface Case {
  samples: number;
  lists: Lists[];
}

const offsetsOf = (lists: readonly unknown[][]): Uint32Array => {
  const offsets = new Uint32Array(lists.length + 1);
  for (const [b, list] of lists.entries()) offsets[b + 1] = offsets[b]! + list.length;
  return offsets;
};

function useKeysOf({ use, keys, weights }: Lists): UseKeys {
  const words = Uint32Array.from(keys.flat().flatMap((key) => [key, 0]));
  if (use.usage?.kind === "one") return { keys: words };
  const offsets = offsetsOf(keys);
  return {
    keys: words,
    offsets,
    weights: weights && { offsets: offsetsOf(weights), values: Float32Array.from(weights.flat()) },
  };
}

const planOf = ({ samples, lists }: Case, unique = new UniqueKeys(lists.map(({ use }) => use))): KeyPlan =>
  unique.collect({ keys: lists.map(useKeysOf), samples, placement });

/** (table, key) of every row of the flat buffer, and where it begins. */
function rowsOf(plan: KeyPlan, lists: readonly Lists[]): { table: number; key: number; dim: number; at: number }[] {
  return plan.nodes.flatMap((node) => {
    let [at, k] = [node.from, 0];
    return [...node.partitions].flatMap((_, s) =>
      [...plan.tables].flatMap((table, t) => {
        const { dim } = lists.find(({ use }) => use.table === table)!.use;
        return Array.from({ length: node.counts[s * plan.tables.length + t]! }, () => {
          const row = { table, key: node.keys[2 * k++]!, dim, at };
          at += dim;
          return row;
        });
      }),
    );
  });
}

/** Float d of the row of `key` in `table`. */
const weightOf = (table: number, key: number, d: number): number => Math.sin(table * 100 + key * 10 + d);

function pulledOf(plan: KeyPlan, lists: readonly Lists[], weight = weightOf): Float32Array {
  const flat = new Float32Array(plan.rowFloats);
  for (const { table, key, dim, at } of rowsOf(plan, lists))
    for (let d = 0; d < dim; d++) flat[at + d] = weight(table, key, d);
  return flat;
}

function gathered(plan: KeyPlan, rows: Float32Array): Float32Array {
  const packed = new Float32Array(plan.samples * packedWidth(plan)).fill(NaN);
  gatherRows({ plan, rows, packed });
  return packed;
}

/** What each key of sample b contributes: its place in the packed use, and its coefficient. */
function shares({ use, keys, weights }: Lists, b: number): { key: number; place: number; share: number }[] {
  const { usage = { kind: "one" }, dim } = use;
  const list = keys[b]!.slice(0, usage.kind === "one" ? 1 : (usage.length ?? Infinity));
  if (usage.kind !== "pooled") return list.map((key, i) => ({ key, place: i * dim, share: 1 }));
  const w = list.map((_, i) => weights?.[b]![i] ?? 1);
  const total = w.reduce((sum, x) => sum + x, 0);
  const length = Math.sqrt(w.reduce((sum, x) => sum + x * x, 0));
  const by = { sum: 1, mean: total, sqrtn: length }[usage.combiner];
  return list.map((key, i) => ({ key, place: 0, share: by === 0 ? 0 : w[i]! / by }));
}

function naiveRows({ samples, lists }: Case): number[] {
  return Array.from({ length: samples }, (_, b) =>
    lists.flatMap((each) => {
      const packed = Array.from({ length: floatsOf(each.use) }, () => 0);
      for (const { key, place, share } of shares(each, b))
        for (let d = 0; d < each.use.dim; d++) packed[place + d]! += share * weightOf(each.use.table, key, d);
      return packed;
    }),
  ).flat();
}

function naiveMasks({ samples, lists }: Case): number[] {
  return Array.from({ length: samples }, (_, b) =>
    lists.flatMap(({ use: { usage }, keys }) => {
      if (usage?.kind !== "sequence" || usage.mask === "none") return [];
      return Array.from({ length: usage.length }, (_place, i) => {
        const key = keys[b]![i];
        return key === undefined || (key === 0 && usage.mask === "zero-key") ? 0 : 1;
      });
    }),
  ).flat();
}

function expectClose(got: ArrayLike<number>, wanted: readonly number[]): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(1e-4);
}

describe("lists of keys", () => {
  it("gives the packed rows and masks of a naive lookup: duplicates, weights, empty and overlong lists", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        expectClose(gathered(plan, pulledOf(plan, c.lists)), naiveRows(c));
        expect([...(plan.masks ?? [])]).toEqual(naiveMasks(c));
      }),
    );
  });

  it("says which places have the row of one key; of places that have none, and of pooled rows, that it is no other's", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        const names = Array.from({ length: c.samples }, (_, b) =>
          c.lists.flatMap((each, f) => {
            const { table, usage } = each.use;
            if (usage?.kind === "pooled") return [`pooled ${b}/${f}`];
            const list = shares(each, b);
            const places = usage?.kind === "sequence" ? usage.length : 1;
            return Array.from({ length: places }, (_place, i) => (list[i] ? `${table}/${list[i].key}` : "none"));
          }),
        ).flat();
        const ids = [...rowIdsOf(plan)];
        const idOf = new Map(names.map((name, i) => [name, ids[i]!]));
        expect(ids).toEqual(names.map((name) => idOf.get(name)));
        expect(new Set(idOf.values()).size).toBe(idOf.size);
        if (idOf.has("none")) expect(idOf.get("none")).toBe(NO_ROW);
      }),
    );
  });

  it("asks only for keys that count: none beyond a list's length", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        const wanted = new Set(
          c.lists.flatMap((each) =>
            each.keys.flatMap((_, b) => shares(each, b).map(({ key }) => `${each.use.table}/${key}`)),
          ),
        );
        expect(new Set(rowsOf(plan, c.lists).map(({ table, key }) => `${table}/${key}`))).toEqual(wanted);
      }),
    );
  });

  it("sums each key's gradients with its coefficients, as a Map of sums does; padded places give none", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        const packed = Float32Array.from({ length: plan.samples * packedWidth(plan) }, (_, i) => (i % 17) - 8);
        const sums = new Map<string, number>();
        let at = 0;
        for (let b = 0; b < c.samples; b++) {
          for (const each of c.lists) {
            const { table, dim } = each.use;
            for (const { key, place, share } of shares(each, b)) {
              for (let d = 0; d < dim; d++) {
                const name = `${table}/${key}/${d}`;
                sums.set(name, (sums.get(name) ?? 0) + share * packed[at + place + d]!);
              }
            }
            at += floatsOf(each.use);
          }
        }
        const flat = sumRowGradients({ plan, packed }).flatMap((values) => [...values]);
        for (const { table, key, dim, at: from } of rowsOf(plan, c.lists))
          for (let d = 0; d < dim; d++)
            expect(Math.abs(flat[from + d]! - sums.get(`${table}/${key}/${d}`)!)).toBeLessThan(1e-3);
      }),
    );
  });

  it("has the gradients of finite differences of a loss over the packed rows", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const plan = planOf(c);
        /** ½ Σ x², whose gradient is x. */
        const loss = (bumped: { table: number; key: number; d: number } | undefined, by: number): number => {
          const weight = (table: number, key: number, d: number): number =>
            weightOf(table, key, d) + (bumped?.table === table && bumped.key === key && bumped.d === d ? by : 0);
          return gathered(plan, pulledOf(plan, c.lists, weight)).reduce((sum, x) => sum + (x * x) / 2, 0);
        };
        const flat = sumRowGradients({ plan, packed: gathered(plan, pulledOf(plan, c.lists)) }).flatMap((v) => [...v]);
        for (const { table, key, dim, at } of rowsOf(plan, c.lists).slice(0, 2)) {
          for (let d = 0; d < dim; d++) {
            const bump = { table, key, d };
            const difference = (loss(bump, 1e-2) - loss(bump, -1e-2)) / 2e-2;
            expect(Math.abs(flat[at + d]! - difference)).toBeLessThan(1e-3 * Math.max(1, Math.abs(difference)));
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it("treats lists of one key like one key, to the bit", () => {
    const keys = Uint32Array.from([3, 0, 5, 0, 3, 0]);
    const offsets = Uint32Array.of(0, 1, 2, 3);
    const usages: RowUsage[] = [
      { kind: "sequence", length: 1, mask: "none" },
      { kind: "pooled", combiner: "sum" },
      { kind: "pooled", combiner: "mean" },
      { kind: "pooled", combiner: "sqrtn" },
    ];
    const run = (usage: RowUsage | undefined, use: UseKeys) => {
      const plan = new UniqueKeys([{ table: 1, dim: 2, usage }]).collect({ keys: [use], samples: 3, placement });
      const lists = [{ use: { table: 1, dim: 2 }, keys: [], weights: undefined }];
      const packed = gathered(plan, pulledOf(plan, lists));
      return { packed, sums: sumRowGradients({ plan, packed }) };
    };
    const one = run(undefined, { keys });
    for (const usage of usages) expect(run(usage, { keys, offsets })).toEqual(one);
  });

  it("counts weights 0 that are not finite, or not as many as the keys: they are of bad rows", () => {
    const usage = { kind: "pooled", combiner: "mean" } as const;
    const plan = new UniqueKeys([{ table: 1, dim: 1, usage }]).collect({
      keys: [
        {
          keys: Uint32Array.from([1, 0, 2, 0, 3, 0]),
          offsets: Uint32Array.of(0, 2, 3),
          weights: { offsets: Uint32Array.of(0, 2, 2), values: Float32Array.of(NaN, 2) },
        },
      ],
      samples: 2,
      placement,
    });
    expect([...plan.coefficients!]).toEqual([0, 1, 0]);
  });

  it("gives what lives on to the caller: a later batch changes nothing of an earlier plan", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const unique = new UniqueKeys(c.lists.map(({ use }) => use));
        const plan = planOf(c, unique);
        const before = structuredClone(plan);
        planOf(
          {
            ...c,
            lists: c.lists.map((each) => ({ ...each, keys: each.keys.map((list) => list.map((key) => key ^ 1)) })),
          },
          unique,
        );
        expect(plan).toEqual(before);
      }),
    );
  });
});
