/** `Chains` under joins, losses, drains and late words in any order; the model checks every map it makes. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { seededRandom } from "@volary/core/testing";
import { ClusterOfChains } from "./test-cluster-of-chains.ts";

function run(
  seed: number,
  cluster: ClusterOfChains,
): { cluster: ClusterOfChains; alive: Set<number>; drained: Set<number> } {
  const random = seededRandom(seed);
  const partitions = 8;
  let newest = 3;
  cluster.start(newest);
  const alive = new Set([1, 2, 3]);
  const drained = new Set<number>();
  for (let event = 0; event < 300; event++) {
    const at = random.next();
    const some = [...alive][random.below(alive.size)]!;
    if (at < 0.03 && alive.size < 6) {
      alive.add(++newest);
      cluster.join(newest);
    } else if (at < 0.05 && alive.size > 2) {
      alive.delete(some);
      drained.delete(some);
      cluster.lose(some);
    } else if (at < 0.06 && alive.size - drained.size > 2) {
      drained.add(some);
      cluster.drain(some);
    } else if (at < 0.07) {
      const broken = { partition: random.below(partitions), generation: 0, from: some, node: some, message: "full" };
      cluster.chains.onBroken(broken, cluster.now);
      cluster.update();
    } else if (at < 0.4) cluster.finishCopy(random.below(partitions));
    else if (at < 0.6) cluster.becomeQuiet(random.below(partitions));
    else if (at < 0.9) cluster.deliver(random.below(cluster.said.length + 1));
    else cluster.tick(random.below(2 * LIMITS.switchEveryMs));
  }
  return { cluster, alive, drained };
}

describe.each([1, 2, 3])("chains of %i", (replicas) => {
  it("keep every rule at every step, and come to be whole and where they should be", () => {
    let switched = 0;
    let failovers = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const { cluster, alive, drained } = run(seed, new ClusterOfChains({ replicas }));
      cluster.settle();
      cluster.tick(LIMITS.brokenReplicaMs);
      cluster.settle();
      const staying = [...alive].filter((node) => !drained.has(node));
      const holders = staying.length > 0 ? staying : [...alive]; // the others were lost after these were drained
      for (const { chain } of cluster.map.entries) {
        expect(chain).toHaveLength(Math.min(replicas, holders.length));
        expect(holders).toEqual(expect.arrayContaining(chain));
      }
      switched += cluster.chains.status().moves;
      failovers += cluster.chains.status().failovers;
    }
    expect(switched).toBeGreaterThan(50);
    if (replicas > 1) expect(failovers).toBeGreaterThan(10);
  });
});

it("a switch before the copy is whole is noticed", () => {
  const sabotaged = () => {
    for (let seed = 1; seed <= 20; seed++)
      run(seed, new ClusterOfChains({ replicas: 2, sabotages: new Set(["switch-before-catch-up"]) }));
  };
  expect(sabotaged).toThrow("broken: a node without all rows");
});

it("a generation that is kept is noticed", () => {
  const sabotaged = () => {
    for (let seed = 1; seed <= 20; seed++)
      run(seed, new ClusterOfChains({ replicas: 2, sabotages: new Set(["keep-generation"]) }));
  };
  expect(sabotaged).toThrow("broken: generation");
});
