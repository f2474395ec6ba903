import type { PartitionMap } from "@volary/core/partition";
import { describe, expect, test } from "vitest";
import { Suspects } from "./suspects.ts";

type Entry = Pick<PartitionMap["entries"][number], "chain" | "next">;

/** A cluster whose nodes are called by their numbers. */
class Cluster {
  now = 0;
  map: PartitionMap | undefined;
  isUp = true;
  readonly clock = { now: () => this.now };

  constructor(...entries: Entry[]) {
    this.setMap(...entries);
  }

  setMap(...entries: Entry[]): void {
    const nodes = [...new Set(entries.flatMap(({ chain, next = [] }) => [...chain, ...next]))];
    this.map = {
      version: 1,
      heads: 1,
      partitionsLog2: 1,
      function: { kind: "hash" },
      nodes: nodes.map((node) => ({ node, name: String(node), address: `a${node}` })),
      entries: entries.map((entry) => ({ generation: 1, headSince: 1, ...entry })),
    };
  }

  get coordinator() {
    return this.isUp ? { map: this.map } : undefined;
  }

  node(name: string) {
    return name === "unknown" ? undefined : { node: name === "joining" ? undefined : { node: Number(name) } };
  }
}

describe("a node may be lost", () => {
  test.each<[string, Entry[], string, boolean]>([
    ["where each of its partitions has another replica", [{ chain: [1, 2] }, { chain: [2, 3] }], "2", true],
    ["but not where one has none", [{ chain: [1, 2] }, { chain: [2] }], "2", false],
    ["but not where the next chain would have none", [{ chain: [1, 2], next: [2] }], "2", false],
    ["but not before it has joined", [{ chain: [1, 2] }], "joining", false],
    ["but not where it is none", [{ chain: [1, 2] }], "unknown", false],
  ])("%s", (_, entries, name, may) => {
    expect(new Suspects(new Cluster(...entries)).mayLose(name)).toBe(may);
  });

  test("but not while there is no coordinator, or it has no map", () => {
    const cluster = new Cluster({ chain: [1, 2] });
    const suspects = new Suspects(cluster);
    cluster.isUp = false;
    expect(suspects.mayLose("1")).toBe(false);
    cluster.isUp = true;
    cluster.map = undefined;
    expect(suspects.mayLose("1")).toBe(false);
  });
});

describe("a node that is suspected", () => {
  const chains: Entry[] = [{ chain: [1, 2] }];

  test("counts as lost until its time is over", () => {
    const cluster = new Cluster(...chains);
    const suspects = new Suspects(cluster);
    expect(suspects.none).toBe(true);
    suspects.add("1", 100);
    expect([suspects.none, suspects.mayLose("2")]).toEqual([false, false]);
    cluster.now = 101;
    expect([suspects.none, suspects.mayLose("2")]).toEqual([true, true]);
  });

  test("counts as lost for the longest of its times", () => {
    const cluster = new Cluster(...chains);
    const suspects = new Suspects(cluster);
    suspects.add("1", 100);
    suspects.add("1", 50);
    cluster.now = 99;
    expect(suspects.mayLose("2")).toBe(false);
  });

  test("counts as lost as long as the coordinator may not have noticed", () => {
    const cluster = new Cluster(...chains);
    const suspects = new Suspects(cluster);
    suspects.add("1", 100);
    suspects.deafen(300);
    cluster.now = 200;
    expect(suspects.mayLose("2")).toBe(false);
    cluster.now = 301;
    expect(suspects.mayLose("2")).toBe(true);
  });

  test("counts no more once the map goes without it", () => {
    const cluster = new Cluster(...chains);
    const suspects = new Suspects(cluster);
    suspects.add("1", Infinity);
    cluster.setMap({ chain: [2, 3] });
    expect([suspects.none, suspects.mayLose("2")]).toEqual([true, true]);
  });

  test("stays one while the coordinator is down", () => {
    const cluster = new Cluster(...chains);
    const suspects = new Suspects(cluster);
    suspects.add("1", 100);
    cluster.isUp = false;
    cluster.now = 200;
    expect(suspects.none).toBe(false);
  });
});
