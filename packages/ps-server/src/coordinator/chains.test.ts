/** How a chain becomes another, one transition at a time. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { partitionFunction, type PartitionEntry } from "@volary/core/partition";
import { seededRandom } from "@volary/core/testing";
import { busyOf } from "./balance.ts";
import { ClusterOfChains } from "./test-cluster-of-chains.ts";

/** Partitions that are being copied. */
function movingOf(c: ClusterOfChains): number[] {
  return [...c.map.entries.keys()].filter((partition) => c.map.entries[partition]!.next);
}

function entry(c: ClusterOfChains, partition: number): PartitionEntry {
  return c.map.entries[partition]!;
}

/** One that is to have another head, in an order that the chain does not keep. */
function reordered(c: ClusterOfChains): number {
  return movingOf(c).find((p) => entry(c, p).chain.length > 1 && entry(c, p).next![0] !== entry(c, p).chain[0])!;
}

function finishAll(c: ClusterOfChains): void {
  for (const partition of movingOf(c)) c.finishCopy(partition);
  while (c.said.length > 0) c.deliver();
  c.tick(LIMITS.moveEveryMs);
}

/** Until nothing is left to be copied. */
function copyAll(c: ClusterOfChains): void {
  const isCopied = (p: number) => entry(c, p).next!.every((node) => entry(c, p).chain.includes(node));
  while (!movingOf(c).every(isCopied)) finishAll(c);
}

describe("a cluster without rows", () => {
  it("has at once the chains that it should have", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.rowsExist = false;
    c.join(1);
    expect(c.map.entries.every(({ chain }) => chain.join() === "1")).toBe(true);
    for (const node of [2, 3, 4]) c.join(node);
    expect(c.map.entries.every(({ chain, next }) => chain.length === 2 && !next)).toBe(true);
    for (const node of [1, 2, 3, 4]) {
      expect(c.map.entries.filter(({ chain }) => chain[0] === node)).toHaveLength(2);
      expect(c.chainsOf(node)).toBeLessThanOrEqual(5);
    }
    expect(c.map.version).toBe(4);
  });
});

describe("a node that joins", () => {
  it("is brought up to date behind the tail first, some partitions at a time", () => {
    const c = new ClusterOfChains({ replicas: 2, partitionsLog2: 6 });
    c.start(1);
    const before = c.map.entries;
    c.join(2);
    expect(movingOf(c)).toHaveLength(LIMITS.copiesMax);
    for (const [partition, { chain, generation, next }] of c.map.entries.entries()) {
      const raised = before[partition]!.generation + (next ? 1 : 0);
      expect([chain, generation]).toEqual([before[partition]!.chain, raised]);
      if (next) expect(new Set(next)).toEqual(new Set([1, 2]));
    }
    expect(c.chains.status().chains).toEqual({ whole: 0, short: 64, moving: LIMITS.copiesMax });
    c.settle();
    expect(c.chains.status().chains).toEqual({ whole: 64, short: 0, moving: 0 });
  });

  it("becomes part of the chain when its copy is whole, with the next generation, and heads stay", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(2);
    c.lose(2);
    const { heads } = c.map;
    c.join(3);
    const [partition] = movingOf(c).filter((p) => entry(c, p).next![0] === 1);
    const { generation, headSince } = entry(c, partition!);
    c.finishCopy(partition!);
    c.deliver();
    expect(entry(c, partition!)).toEqual({ generation: generation + 1, headSince, chain: [1, 3] });
    expect(c.map.heads).toBe(heads);
  });

  it("takes heads over together, so that training begins one term", () => {
    const c = new ClusterOfChains({ replicas: 1, partitionsLog2: 4 });
    c.start(3);
    c.join(4);
    const moving = movingOf(c);
    expect(moving).toHaveLength(4);
    const { heads } = c.map;
    for (const partition of moving.slice(1)) c.finishCopy(partition);
    while (c.said.length > 0) c.deliver();
    c.tick(LIMITS.moveEveryMs);
    for (const partition of moving.slice(1)) expect(entry(c, partition).chain[1]).toBe(4);
    c.finishCopy(moving[0]!);
    c.deliver();
    c.tick(LIMITS.moveEveryMs);
    expect(c.map.heads).toBe(heads);
    finishAll(c);
    expect(moving.map((partition) => entry(c, partition).chain)).toEqual([[4], [4], [4], [4]]);
    expect(c.map.heads).toBe(c.map.version);
    expect(c.chains.status().moves).toBe(4);
  });

  it("is up to date when a node of its chain says so of the chain there will be, in this generation", () => {
    const c = new ClusterOfChains({ replicas: 3, partitionsLog2: 0 });
    c.start(1);
    c.join(2);
    c.join(3);
    const { generation, next } = entry(c, 0);
    const said = { partition: 0, generation, from: 2, next: next! };
    for (const wrong of [{ from: 4 }, { generation: generation - 1 }, { next: [1, 2] }, { partition: 1 }])
      c.chains.onReady({ ...said, ...wrong }, c.now);
    c.tick(2 * LIMITS.switchEveryMs);
    expect(entry(c, 0).chain).toEqual([1]);
    c.finishCopy(0);
    c.chains.onReady(said, c.now);
    c.tick(2 * LIMITS.switchEveryMs);
    c.becomeQuiet(0);
    c.deliver();
    expect(entry(c, 0).chain).toEqual(next);
  });

  it("does not hold the others up for long", () => {
    const c = new ClusterOfChains({ replicas: 1, partitionsLog2: 4 });
    c.start(3);
    c.join(4);
    finishAll(c);
    while (c.said.length > 0) c.deliver();
    const [first] = movingOf(c);
    expect(movingOf(c)).toHaveLength(4);
    c.finishCopy(first!);
    c.deliver();
    c.tick(LIMITS.switchEveryMs);
    expect(entry(c, first!).chain).toEqual([4]);
    expect(movingOf(c)).toHaveLength(3);
  });

  it("becomes the head of a chain only once that is held and quiet", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    c.join(4);
    copyAll(c);
    const partition = reordered(c);
    const { chain, next, generation } = entry(c, partition);
    expect(next![0]).toBe(4);
    finishAll(c);
    expect(entry(c, partition)).toMatchObject({ chain, next, held: true });
    c.deliver();
    c.tick(10 * LIMITS.switchEveryMs);
    expect(entry(c, partition).chain).toEqual(chain);
    c.chains.onQuiet({ partition, generation, from: chain[1]! }); // not the head
    c.update();
    expect(entry(c, partition).chain).toEqual(chain);
    c.becomeQuiet(partition);
    c.deliver();
    c.tick(LIMITS.switchEveryMs);
    expect(entry(c, partition)).toEqual({ generation: generation + 1, headSince: generation + 1, chain: next });
  });
});

describe("a node that is lost", () => {
  it("leaves the chain at once; the next one is the head from then on", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    const before = c.map.entries;
    c.lose(1);
    for (const [partition, { chain, generation, headSince, next }] of c.map.entries.entries()) {
      const old = before[partition]!;
      if (!old.chain.includes(1)) expect([chain, generation]).toEqual([old.chain, old.generation]);
      else {
        expect(chain).toEqual(old.chain.filter((node) => node !== 1));
        expect(next).toEqual(chain[0] === 2 ? [2, 3] : [3, 2]);
        // Once for the chain, and once for the copy that begins.
        expect(generation).toBe(old.generation + 2);
        expect(headSince).toBe(old.chain[0] === 1 ? old.generation + 1 : old.headSince);
      }
    }
    expect(c.map.heads).toBe(c.map.version);
    expect(c.chains.status().failovers).toBe(before.filter(({ chain }) => chain[0] === 1).length);
    expect(c.logs).toEqual([`map ${c.map.version}: ${c.chains.status().failovers} partitions have another head`]);
    c.settle();
    expect(c.chains.status().chains).toEqual({ whole: 8, short: 0, moving: 0 });
    expect(c.logs.at(-1)).toMatch(/no partition is copied any more; 8 have all replicas, 0 lack one$/);
  });

  it("while it is copied to is replaced, and a late word of its copy counts for nothing", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(1);
    c.join(2);
    const [partition] = movingOf(c);
    c.finishCopy(partition!);
    c.lose(2);
    c.join(3);
    c.deliver();
    c.tick(LIMITS.switchEveryMs);
    expect(entry(c, partition!).chain).toEqual([1]);
    expect(entry(c, partition!).next).toContain(3);
    c.settle();
    expect(c.chainsOf(3)).toBe(8);
  });

  it("while its chain is held gives the hold up, and the copy goes on", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    c.join(4);
    copyAll(c);
    const partition = reordered(c);
    const [head, ...others] = entry(c, partition).chain;
    finishAll(c);
    expect(entry(c, partition).held).toBe(true);
    const { generation } = entry(c, partition);
    c.lose(head!);
    expect(entry(c, partition)).toMatchObject({ chain: others, generation: generation + 1 });
    expect(entry(c, partition).held).toBeUndefined();
    c.settle();
    expect(c.chains.status().chains).toMatchObject({ whole: 8 });
  });

  it("with the only copy of a partition is told as such, and not held dear otherwise", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(2);
    expect(c.chains.isExpendable(1)).toBe(true);
    c.lose(2);
    expect(c.chains.isExpendable(1)).toBe(false);
    c.join(3);
    expect(c.chains.loseNode(1)).toBe(8);
  });
});

describe("a node that cannot hold a replica", () => {
  it("leaves that chain, and is not chosen for it for a while", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    const { chain, generation } = entry(c, 0);
    const [head, tail] = chain;
    const third = [1, 2, 3].find((node) => !chain.includes(node))!;
    c.chains.onBroken({ partition: 0, generation, from: head!, node: tail!, message: "its memory is full" }, c.now);
    c.update();
    expect(entry(c, 0)).toMatchObject({ chain: [head], next: [head, third], generation: generation + 2 });
    expect(c.logs).toContain(`partition 0 has no replica on PS node ps-${tail}: its memory is full`);
    c.settle();
    expect(entry(c, 0).chain).toEqual([head, third]);
  });

  it("stays where it has the only one", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(1);
    c.chains.onBroken({ partition: 0, generation: 1, from: 1, node: 1, message: "full" }, c.now);
    c.update();
    expect(entry(c, 0).chain).toEqual([1]);
  });

  it("is tried again after that while where there is no other", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(2);
    const { chain, generation } = entry(c, 0);
    const [head, tail] = chain;
    c.chains.onBroken({ partition: 0, generation, from: head!, node: tail!, message: "full" }, c.now);
    c.update();
    c.settle();
    expect(entry(c, 0).chain).toEqual([head]);
    c.tick(LIMITS.brokenReplicaMs);
    c.settle();
    expect(entry(c, 0).chain).toHaveLength(2);
  });

  it("of any partition of a job gets none", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(2);
    c.join(3);
    expect(c.moving).toBeGreaterThan(0);
    c.chains.setUnfit(3);
    c.update();
    c.settle();
    expect(c.chainsOf(3)).toBe(0);
  });
});

describe("a node that is drained", () => {
  it("holds nothing at the end, and no partition has fewer replicas meanwhile", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    const from = c.maps.length;
    c.drain(2);
    expect(c.chains.nodeStatus(2).draining).toBe(true);
    c.settle();
    expect(c.chainsOf(2)).toBe(0);
    for (const map of c.maps.slice(from)) expect(map.entries.every(({ chain }) => chain.length >= 2)).toBe(true);
    expect(c.map.nodes.map(({ node }) => node)).toEqual([1, 2, 3]);
  });

  it("gives its rows to fewer replicas where there are no more nodes", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(2);
    c.drain(1);
    c.settle();
    expect(c.map.entries.every(({ chain }) => chain.join() === "2")).toBe(true);
    expect(() => c.chains.drain(2)).toThrow(
      "PS node ps-2 cannot be drained: no other could hold its rows; start one first",
    );
  });

  it("is told from its next life", () => {
    const c = new ClusterOfChains({ replicas: 1 });
    c.start(2);
    c.drain(1);
    c.settle();
    c.lose(1);
    c.chains.addNode({ node: 3, name: "ps-1", address: "ws://ps-1:1" });
    c.update();
    c.settle();
    expect(c.chainsOf(3)).toBe(4);
  });
});

describe("heads under uneven load", () => {
  /** Node 1 is the head of all that is busy. */
  function beat(c: ClusterOfChains, rows: number): void {
    for (const node of [1, 2]) {
      const partitions = [...c.map.entries.keys()].filter((p) => entry(c, p).chain[0] === node);
      c.chains.onLoad(node, { partitions, rows: partitions.map((p) => (busy.has(p) ? rows : 0)) }, c.now);
    }
  }
  let busy = new Set<number>();

  function loaded(replicas: number, rows: number): ClusterOfChains {
    const c = new ClusterOfChains({ replicas });
    c.start(2);
    busy = new Set([...c.map.entries.keys()].filter((p) => entry(c, p).chain[0] === 1));
    for (let at = 0; at < 20; at++) {
      beat(c, rows);
      c.tick(500);
    }
    return c;
  }

  it("move to less busy nodes, and are counted", () => {
    const c = loaded(1, 1000);
    c.settle();
    const heads = [...busy].map((p) => entry(c, p).chain[0]!);
    expect(heads.filter((head) => head === 2)).toHaveLength(2);
    expect(c.chains.status()).toMatchObject({ overrides: 2, moves: 2 });
    for (let at = 0; at < 20; at++) {
      beat(c, 1000);
      c.tick(500);
    }
    expect(c.moving).toBe(0);
  });

  it("change places with their replicas", () => {
    const c = loaded(2, 1000);
    c.settle();
    expect([...busy].filter((p) => entry(c, p).chain[0] === 2)).toHaveLength(2);
    expect(c.map.entries.every(({ chain }) => chain.length === 2)).toBe(true);
  });

  it.each([1, 2])(
    "of keys like Zipf 1.2 come to 1.3 times the mean on 4 nodes, and then stay (chains of %i)",
    (replicas) => {
      const c = new ClusterOfChains({ replicas, partitionsLog2: 8 });
      c.start(4);
      const random = seededRandom(7);
      const partitionOf = partitionFunction({ kind: "hash" }, 256);
      const rates = new Float64Array(256);
      for (let rank = 1; rank <= 20_000; rank++)
        rates[partitionOf(random.below(2 ** 32), random.below(2 ** 32))]! += 10_000 / rank ** 1.2;
      const beats = (count: number): void => {
        for (let beat = 0; beat < count; beat++) {
          for (const node of [1, 2, 3, 4]) {
            const partitions = [...c.map.entries.keys()].filter((p) => entry(c, p).chain[0] === node);
            const rows = partitions.map((p) => Math.round(rates[p]! * random.between({ min: 0.7, max: 1.3 })));
            c.chains.onLoad(node, { partitions, rows }, c.now);
          }
          c.tick(250);
          c.settle();
        }
      };
      const ratio = (): number => {
        const busy = [
          ...busyOf({ loads: rates, heads: c.map.entries.map(({ chain }) => chain[0]), nodes: [1, 2, 3, 4] }).values(),
        ];
        return (4 * Math.max(...busy)) / busy.reduce((sum, load) => sum + load, 0);
      };
      expect(ratio()).toBeGreaterThan(1.3);
      beats(100);
      expect(ratio()).toBeLessThanOrEqual(1.3);
      const { moves } = c.chains.status();
      beats(100);
      expect(c.chains.status().moves - moves).toBeLessThanOrEqual(8);
    },
  );

  it("stay where there is hardly any load", () => {
    expect(loaded(1, 10).chains.status().overrides).toBe(0);
  });
});

describe("a coordinator that starts again", () => {
  it("goes on with the chains, moves and drains there were", () => {
    const c = new ClusterOfChains({ replicas: 2 });
    c.start(3);
    c.join(4);
    c.drain(1);
    const again = new ClusterOfChains({ replicas: 2, map: c.map, plan: structuredClone(c.chains.plan) });
    again.resume(c);
    again.settle();
    c.settle();
    expect(again.map.entries.map(({ chain }) => chain)).toEqual(c.map.entries.map(({ chain }) => chain));
    expect(again.chainsOf(1)).toBe(0);
    expect(again.chains.nodeStatus(1).draining).toBe(true);
  });

  it("with more replicas makes every chain longer", () => {
    const c = new ClusterOfChains({ replicas: 1 });
    c.start(3);
    const again = new ClusterOfChains({ replicas: 2, map: c.map, plan: c.chains.plan });
    again.resume(c);
    again.settle();
    for (const [partition, { chain }] of again.map.entries.entries()) {
      expect(chain).toHaveLength(2);
      expect(chain[0]).toBe(entry(c, partition).chain[0]);
    }
  });
});
