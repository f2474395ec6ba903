import fc from "fast-check";
import { expect, test } from "vitest";
import { mergedRuns, type Run } from "./oracle/merge.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;

/** Merges by the kernel, with just the room that its contract asks for, and checks that it kept to it. */
function merged(runs: readonly Run[], dim: number): { keys: bigint[]; values: Float32Array } {
  memory.reset();
  const words = runs.flatMap(({ keys, values }) => [
    memory.put(new Uint32Array(BigUint64Array.from(keys).buffer)),
    memory.put(values),
    keys.length,
  ]);
  const lanes = memory.put(Uint32Array.from(words));
  const room = runs.reduce((sum, { keys }) => sum + keys.length, 0);
  const outKeys = memory.reserve(8 * room);
  const outValues = memory.reserve(4 * room * dim);
  const n = kernels.mergeRuns(lanes, runs.length, dim, outKeys, outValues);
  expect(memory.untouchedAround(outKeys, 8 * room)).toBe(true);
  expect(memory.untouchedAround(outValues, 4 * room * dim)).toBe(true);
  for (const [i, { keys, values }] of runs.entries()) {
    expect(memory.words(words[3 * i]!, 2 * keys.length)).toEqual(new Uint32Array(BigUint64Array.from(keys).buffer));
    expect(memory.floats(words[3 * i + 1]!, values.length)).toEqual(values);
  }
  return {
    keys: [...new BigUint64Array(memory.bytes(outKeys, 8 * n).buffer)],
    values: memory.floats(outValues, n * dim),
  };
}

const keySets = fc.constantFrom(
  fc.bigInt(0n, 8n),
  fc.bigInt(0n, 60n),
  fc.bigInt(0n, 2n ** 64n - 1n),
  fc.bigInt(0n, 5n).map((x) => (x << 61n) | x),
);

const runsOf = (laneCount: fc.Arbitrary<number>) =>
  fc.tuple(fc.integer({ min: 1, max: 9 }), laneCount, keySets).chain(([dim, lanes, key]) => {
    const keys = fc.uniqueArray(key, { maxLength: 40 }).map((list) => list.toSorted((a, b) => (a < b ? -1 : 1)));
    const run = keys.chain((list) => {
      const floats = fc.array(fc.float({ min: -(2 ** 99), max: 2 ** 99, noNaN: true }), {
        minLength: list.length * dim,
        maxLength: list.length * dim,
      });
      return floats.map((values): Run => ({ keys: list, values: Float32Array.from(values) }));
    });
    return fc.record({ dim: fc.constant(dim), runs: fc.array(run, { minLength: lanes, maxLength: lanes }) });
  });

test.each([
  ["no run", fc.constant(0)],
  ["one run", fc.constant(1)],
  ["two runs", fc.constant(2)],
  ["more", fc.integer({ min: 3, max: 9 })],
])("mergeRuns() is the sorted union with sums in the order of the runs: %s", (_, laneCount) => {
  fc.assert(
    fc.property(runsOf(laneCount), ({ dim, runs }) => {
      expect(merged(runs, dim)).toEqual(mergedRuns(runs, dim));
    }),
    { numRuns: 300 },
  );
});

test("sums depend on the order of the runs, and on nothing else", () => {
  const run = (value: number): Run => ({ keys: [7n], values: Float32Array.of(value) });
  const big = 2 ** 24;
  expect([...merged([run(1), run(1), run(big)], 1).values]).toEqual([big + 2]);
  expect([...merged([run(big), run(1), run(1)], 1).values]).toEqual([big]);
});

test("hundreds of runs are merged in the room of their keys", () => {
  const runs = Array.from({ length: 300 }, (_, lane): Run => {
    const keys = [...new Set([BigInt(lane % 7), BigInt(lane) * 1000n])].toSorted((a, b) => (a < b ? -1 : 1));
    return { keys, values: Float32Array.from(keys, (key) => lane + Number(key) / 3) };
  });
  expect(merged(runs, 1)).toEqual(mergedRuns(runs, 1));
});
