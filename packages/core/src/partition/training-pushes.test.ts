/** Direct pushes of a job's batches: each counts once, and steps advance by them, for rates, ages and reads. */
import { expect, test } from "vitest";
import { asp, consistencyOf } from "../consistency/index.ts";
import { adam, exponentialDecay, sgd } from "../optimizer/index.ts";
import { DENSE_TABLE, type TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import { Partition } from "./partition.ts";
import { TRAINING_CLIENT } from "./push-identities.ts";
import { allRows, TestChain } from "./test-chain.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

const SLOTS = 4;
const initializer = { kind: "zeros" } as const;
/** Halved with every step. */
const learningRate = exponentialDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 0.5 });
const eviction = { rowsMax: 8, expireSteps: 4, order: "least-recent" } as const;
const TABLES: readonly TableSpec[] = [
  { ...DENSE_TABLE, optimizer: adam({ learningRate: 0.1 }) },
  { id: 2, name: "route", dim: 1, initializer, optimizer: sgd({ learningRate }) },
  { id: 5, name: "hour", dim: 1, initializer, optimizer: adam(), eviction },
];
const mode = consistencyOf(asp());

/** A batch as workers push it, from 0. */
const batch = (number: number, settled = 0) => ({
  client: TRAINING_CLIENT,
  sequence: number + 1,
  settled,
  slots: SLOTS,
});
const rows = (table: number, ...keys: number[]) => segmentOf({ table, keys, values: keys.map(() => 1) });

function chainOf(nodes: number): TestChain {
  const open = (role: "head" | "replica") =>
    new Partition({ partition: 1, partitions: 2, seed: 7, tables: TABLES, mode, share: testShare(), role });
  const chain = new TestChain(open("head"), TABLES);
  for (let n = 1; n < nodes; n++) chain.replicas.push(open("replica"));
  return chain;
}

const rowOf = (chain: TestChain, table: number, key: number): string | undefined =>
  allRows(chain.head, TABLES).find((row) => row.startsWith(`${table}/${key}: `));

test("each counts once, whoever pushes it, in any order", () => {
  const chain = chainOf(2);
  for (const number of [2, 0, 2, 1, 0]) chain.pushDirect(batch(number), rows(2, 9));
  expect([...weightsOf(chain.head, rows(2, 9))]).toEqual([-3]);
  chain.pushDirect(batch(5, 3), rows(2, 9)); // the first three are settled
  expect(chain.head.pushDirect(batch(1), rows(2, 9))).toBe("duplicate");
});

test("they are of the newest step that any was of: a late one counts as if it were of that", () => {
  const chain = chainOf(2);
  const weights: number[][] = [];
  for (const number of [0, 3, 4, 1, 8]) {
    chain.pushDirect(batch(number), rows(2, 9));
    weights.push([chain.head.committed.step, -weightsOf(chain.head, rows(2, 9))[0]!]);
  }
  expect(weights).toEqual([
    [1, 1],
    [1, 2],
    [2, 2.5],
    [2, 3],
    [3, 3.25],
  ]);
  expect(rowOf(chain, 2, 9)).toMatch(/ 5 3$/); // updates, and the step of the last one
  expect(chain.replicas[0]!.committed).toEqual({ step: 3, attempt: 0 });
});

test("pushes of others belong to no step: they count as of the newest", () => {
  const chain = chainOf(2);
  chain.pushDirect(batch(4), rows(2, 9));
  chain.pushDirect({ client: 7, sequence: 40, settled: 0 }, rows(2, 9));
  expect([...weightsOf(chain.head, rows(2, 9))]).toEqual([-1]);
  expect(chain.head.committed.step).toBe(2);
  expect(rowOf(chain, 2, 9)).toMatch(/ 2 2$/);
});

test("rows expire by them, however late the batches are that others push", () => {
  const chain = chainOf(2);
  chain.pushDirect(batch(0), rows(5, 1));
  chain.pushDirect(batch(4 * SLOTS), rows(5, 2));
  expect(rowOf(chain, 5, 1)).toBeUndefined();
  chain.pushDirect(batch(1), rows(5, 3));
  chain.pushDirect(batch(7 * SLOTS), rows(5, 4));
  expect([2, 3, 4].map((key) => rowOf(chain, 5, key) !== undefined)).toEqual([true, true, true]);
  chain.pushDirect(batch(8 * SLOTS), rows(5, 4));
  expect([2, 3, 4].map((key) => rowOf(chain, 5, key) !== undefined)).toEqual([false, false, true]);
  expect(chain.replicas[0]!.digest()).toBe(chain.head.digest());
});

test.each([1, 2, 3])("replicas follow them bit by bit, dense rows among them, seed %d", (seed) => {
  const random = seededRandom(seed);
  const chain = chainOf(3);
  const { dim } = DENSE_TABLE;
  for (let n = 0; n < 120; n++) {
    // Up to three steps of batches are under way, and some come twice.
    const number = Math.max(0, n - random.below(3 * SLOTS));
    const keys = [...new Set([random.below(20), random.below(20), random.below(20)])].toSorted((a, b) => a - b);
    const values = keys.map(() => random.below(2000) / 1000 - 1);
    const dense = Array.from({ length: dim }, (_, i) => ((number + i) % 7) - 3);
    const parts = [
      { table: 0, keys: [0], values: dense },
      { table: 2, keys, values },
      { table: 5, keys, values },
    ];
    chain.pushDirect(batch(number, Math.max(0, n - 3 * SLOTS)), segmentOf(...parts));
  }
  expect(chain.head.committed.step).toBeGreaterThan(20);
  expect(new Set(chain.replicas.map((replica) => replica.digest()))).toEqual(new Set([chain.head.digest()]));
  expect(allRows(chain.replicas[1]!, TABLES)).toEqual(allRows(chain.head, TABLES));
});
