/** A table client while PS nodes die, links break and partitions move. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { partitionFunction } from "../partition/index.ts";
import type { Sabotages } from "../sabotage.ts";
import { Cluster, PARTITIONS, type Fate } from "./test-nodes.ts";

const KEYS = Array.from({ length: 24 }, (_, key) => key);
const ONES = KEYS.map(() => 1);

describe("a push counts once and is acknowledged when", () => {
  test.each<[string, Fate[]]>([
    ["its head dies before it has it", ["dies before"]],
    ["its head dies before the answer", ["dies after"]],
    ["its head dies after the answer", ["dies after its answer"]],
    ["its link breaks before it arrives", ["cut before"]],
    ["its link breaks before the answer", ["cut after", "cut after", "cut after"]],
    ["no answer comes, and the link stands", ["no answer", "no answer", "no answer"]],
    ["partitions move before it arrives", ["moves before"]],
    ["they move again and again", ["moves before", "moves before", "moves before", "cut after", "moves before"]],
    ["a node in another's place does not know its job", ["unknown", "unknown"]],
    ["its head dies after partitions moved", ["moves before", "served", "dies after"]],
  ])("%s", async (_, fates) => {
    const c = new Cluster({ fates });
    await c.run(c.table.push(KEYS, ONES));
    expect(c.rows).toEqual(new Map(KEYS.map((key) => [key, 1])));
    await c.run(c.table.push(KEYS, ONES));
    expect([...(await c.run(c.table.pull(KEYS)))]).toEqual(KEYS.map(() => 2));
    expect(c.fates).toEqual([]);
  });
});

test("a push that is sent again under another name counts twice: what the sabotage shows", async () => {
  const sabotages: Sabotages = new Set(["re-lease-with-new-identity"]);
  const c = new Cluster({ fates: ["cut after"], sabotages });
  await c.run(c.table.push(KEYS, ONES));
  expect(new Set(c.rows.values())).toEqual(new Set([1, 2]));
});

test("whatever happens, every push counts once, and every read has what was acknowledged", async () => {
  const fate = fc.constantFrom<Fate>(
    "served", "served", "served", "dies before", "dies after", "dies after its answer", "cut before", "cut after", "no answer", "moves before",
  ); // prettier-ignore
  const batches = fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(batches, fc.array(fate, { maxLength: 16 }), fc.nat(1000), async (pushes, fates, seed) => {
      const c = new Cluster({ nodes: 3, fates, seed });
      const sums = new Map<number, number>();
      for (const keys of pushes) {
        for (const key of keys) sums.set(key, (sums.get(key) ?? 0) + key + 1);
        await c.run(
          Promise.all([
            c.table.push(
              keys.slice(1),
              keys.slice(1).map((key) => key + 1),
            ),
            c.table.push(keys.slice(0, 1), [keys[0]! + 1]),
          ]),
        );
        expect([...(await c.run(c.table.pull([...sums.keys()])))]).toEqual([...sums.values()]);
      }
    }),
    { numRuns: 100 },
  );
});

test("only what was not acknowledged is sent again, under the name it had", async () => {
  const c = new Cluster({ nodes: 2, fates: ["moves before"] });
  await c.run(c.links.open());
  await c.run(c.table.push(KEYS, ONES));
  const [first] = c.served;
  const again = c.served.filter(({ frame: f }) => f.step === first!.frame.step && f !== first!.frame);
  expect([...first!.frame.partitions]).toEqual(first!.node === 1 ? [0, 2] : [1, 3]);
  // The partitions of node 1 have moved to node 2, wherever the first frame arrived.
  expect(again.flatMap(({ node, frame: f }) => [...f.partitions].map((p) => `${p} at ${node}`))).toEqual(
    first!.node === 1 ? ["0 at 2", "2 at 2"] : [],
  );
});

test.each<Fate[][]>([
  [["dies before"]],
  [["dies after"]],
  [["served", "served", "dies before"]],
  [["served", "served", "moves before", "cut after"]],
])("rows that are set and read are whole: %j", async (fates) => {
  const c = new Cluster({ fates });
  await c.run(c.table.set(KEYS, KEYS));
  expect([...(await c.run(c.table.pull(KEYS)))]).toEqual(KEYS);
});

test("a push that nobody answers is given up with the partitions, the node and the reason", async () => {
  const c = new Cluster({ fates: Array.from({ length: 1000 }, (): Fate => "cut before") });
  const failed = await c.run(c.table.push([5], [1]).catch((error: unknown) => error));
  expect(failed).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  expect(String(failed)).toMatch(/partitions \d on PS node \d: no answer for 30 s \(.*\); `volary status` says/);
  expect(c.clock.now()).toBeGreaterThanOrEqual(LIMITS.tableRetryMs);
  expect(c.clock.now()).toBeLessThan(2 * LIMITS.tableRetryMs);
  const { length } = c.served;
  c.fates = [];
  await c.clock.advance(60_000);
  expect([c.served.length, c.rows.size]).toEqual([length, 0]);
});

test("what is refused for good fails at once, and its number is free again", async () => {
  const c = new Cluster({ fates: ["refused"] });
  await expect(c.run(c.table.push([5], [1]))).rejects.toMatchObject({ code: "BAD_UPDATE", message: "no" });
  await c.run(c.table.push([5], [1]));
  expect(c.served.map(({ frame: { step, cursor } }) => [step, cursor])).toEqual([
    [1, 0],
    [2, 1],
  ]);
});

test("a push that fails at one node is settled only when the others have answered", async () => {
  const c = new Cluster({ fates: ["cut before", "refused", "no answer"] });
  const partitionOf = partitionFunction({ kind: "hash" }, PARTITIONS);
  const ofNode1 = KEYS.filter((key) => c.map.entries[partitionOf(key, 0)]!.chain[0] === 1);
  const push = c.table.push(ofNode1, ofNode1);
  push.catch(() => {});
  while (c.served.length === 0) await c.clock.advance(1);
  c.move([0]);
  await expect(c.run(push)).rejects.toMatchObject({ code: "BAD_UPDATE" });
  const sent = c.served.map(({ frame: { partitions, step } }) => `${partitions.join()} of ${step}`);
  expect(new Set(sent)).toEqual(new Set(["0,2 of 1", "0 of 1", "2 of 1"]));
  expect(sent).toHaveLength(4);
});

test("a job that no node knows is said to be unknown, after a while", async () => {
  const c = new Cluster({ fates: Array.from({ length: 1000 }, (): Fate => "unknown") });
  await expect(c.run(c.table.pull([5]))).rejects.toMatchObject({ code: "UNKNOWN_JOB", message: "no job 1" });
  expect(c.clock.now()).toBeLessThan(LIMITS.tableRetryMs / 2);
});

test("a node that has come back after long, and does not know the job yet, is asked again", async () => {
  const c = new Cluster({ nodes: 1, fates: ["no answer", "no answer", "unknown", "unknown", "unknown"] });
  await c.run(c.table.pull([5]));
  expect(c.served.length).toBe(6);
});

test("a link that answers others is not silent", async () => {
  const c = new Cluster({ nodes: 1, fates: ["no answer"] });
  const slow = c.table.pull([5]);
  slow.catch(() => {});
  for (let i = 0; i < 10; i++) {
    await c.clock.advance(LIMITS.resendEveryMs / 2);
    await c.run(c.table.pull([6]));
  }
  expect(c.served.filter(({ frame: f }) => f.keys[0] === 5)).toHaveLength(1);
  await c.run(slow);
  expect(c.served.filter(({ frame: f }) => f.keys[0] === 5)).toHaveLength(2);
});

describe("an export gives every row once", () => {
  const exported = async (c: Cluster): Promise<number[]> => {
    const keys: number[] = [];
    const read = async () => {
      for await (const rows of c.table.export()) {
        rows.keys.forEach((key, i) => expect(rows.values[i]).toBe(Number(key)));
        keys.push(...Array.from(rows.keys, Number));
      }
    };
    await c.run(read());
    return keys.toSorted((a, b) => a - b);
  };

  test.each<Fate[][]>([
    [[]],
    [["served", "dies before"]],
    [["served", "dies after its answer"]],
    [["served", "moves before", "served", "moves before"]],
    [["cut after", "cut before", "no answer"]],
  ])("%j", async (fates) => {
    const c = new Cluster();
    await c.run(c.table.set(KEYS, KEYS));
    c.fates = [...fates];
    expect(await exported(c)).toEqual(KEYS);
  });
});

describe("a read that may be stale", () => {
  const readers = async (c: Cluster, staleness: number | undefined): Promise<number[]> => {
    const before = c.served.length;
    await c.run(c.table.pull([5], { staleness }));
    return c.served.slice(before).map(({ node }) => node);
  };

  test("goes to the replicas in turn, and any other to the head", async () => {
    const c = new Cluster({ nodes: 3 });
    await c.run(c.links.open());
    const [head] = await readers(c, undefined);
    const nodes = [await readers(c, 0), await readers(c, 0), await readers(c, 0)].flat();
    expect(nodes.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
    expect([...(await readers(c, undefined)), ...(await readers(c, undefined))]).toEqual([head, head]);
  });

  test("is asked again at the head where the replica is too many steps behind", async () => {
    const c = new Cluster({ nodes: 2 });
    await c.run(c.links.open());
    const [head] = await readers(c, undefined);
    const other = 3 - head!;
    c.steps.set(head!, 10).set(other, 7);
    await readers(c, undefined);
    const tight = [await readers(c, 2), await readers(c, 2)].toSorted((a, b) => a.length - b.length);
    expect(tight).toEqual([[head], [other, head]]);
    const loose = [await readers(c, 3), await readers(c, 3)].flat();
    expect(loose.toSorted((a, b) => a - b)).toEqual([1, 2]);
  });

  test("is given up when the head, which it then needs, does not answer", async () => {
    const c = new Cluster({ nodes: 2 });
    await c.run(c.links.open());
    const [head] = await readers(c, undefined);
    c.steps.set(head!, 10).set(3 - head!, 7);
    await readers(c, undefined);
    const beginMs = c.clock.now();
    // One of the two is asked of the replica first.
    for (const _ of [1, 2]) {
      c.fates = ["served", ...Array.from({ length: 1000 }, (): Fate => "no answer")];
      const failed = await c.run(c.table.pull([5], { staleness: 2 }).catch((error: unknown) => error));
      if (c.fates.length < 1000) expect(failed).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
    }
    expect(c.clock.now() - beginMs).toBeGreaterThanOrEqual(LIMITS.tableRetryMs);
    expect(c.clock.now() - beginMs).toBeLessThan(2 * LIMITS.tableRetryMs);
  });

  test("is answered by the head where the replica dies", async () => {
    const c = new Cluster({ nodes: 2 });
    await c.run(c.table.push([5], [1]));
    c.fates = ["dies before", "dies before"];
    expect([...(await c.run(c.table.pull([5], { staleness: 5 })))]).toEqual([1]);
  });

  test.each([-1, 0.5, NaN])("cannot be %d steps behind", async (staleness) => {
    await expect(new Cluster().table.pull([5], { staleness })).rejects.toThrow(
      `staleness is ${staleness}; give a whole`,
    );
  });
});
