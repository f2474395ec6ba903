import { describe, expect, test } from "vitest";
import {
  firstPartitionMap,
  nextPartitionMap,
  partitionMapSchema,
  type PartitionMap,
  type PsNode,
} from "./partition-map.ts";

function node(number: number, name = `ps-${number}`): PsNode {
  return { node: number, name, address: `ws://${name}:7070` };
}

const NODES = [node(1), node(2), node(3)];
const MAP = firstPartitionMap({ partitions: 16, nodes: NODES });

describe("the schema", () => {
  const spoilt: [string, (map: PartitionMap) => unknown, string][] = [
    ["a missing entry", (map) => ({ ...map, entries: map.entries.slice(1) }), "15 entries, but 2^4 partitions"],
    [
      "a node that is not listed",
      (map) => ({ ...map, nodes: map.nodes.slice(1) }),
      "is on node 1, which is not listed",
    ],
    [
      "one number for two nodes",
      (map) => ({ ...map, nodes: [...map.nodes, node(1, "x")] }),
      "two nodes have the same number",
    ],
    [
      "one name for two nodes",
      (map) => ({ ...map, nodes: [...map.nodes, node(9, "ps-1")] }),
      "two nodes have the same name",
    ],
    [
      "a chain that comes back to a node",
      (map) => ({ ...map, entries: [{ generation: 1, chain: [1, 2, 1] }, ...map.entries.slice(1)] }),
      "partition 0 is twice on one node",
    ],
    [
      "more ranges than keys",
      (map) => ({ ...map, function: { kind: "range", keyBits: 3 } }),
      "2^4 ranges of 3-bit keys would be empty",
    ],
  ];
  test.each(spoilt)("refuses %s, naming it", (_, spoil, message) => {
    const result = partitionMapSchema.safeParse(JSON.parse(JSON.stringify(spoil(MAP))));
    expect(result.error?.issues.map((issue) => issue.message).join("; ")).toContain(message);
  });

  test("refuses an unknown property and an empty chain", () => {
    expect(partitionMapSchema.safeParse({ ...MAP, colour: "red" }).success).toBe(false);
    const entries = [{ generation: 1, chain: [] }, ...MAP.entries.slice(1)];
    expect(partitionMapSchema.safeParse({ ...MAP, entries }).success).toBe(false);
  });

  test("takes every map we make, through JSON", () => {
    expect(partitionMapSchema.parse(JSON.parse(JSON.stringify(MAP)))).toEqual(MAP);
  });
});

test("the first map has version 1, generations 1 and heads on all nodes", () => {
  expect([MAP.version, MAP.partitionsLog2, MAP.function]).toEqual([1, 4, { kind: "hash" }]);
  expect(MAP.entries.every(({ generation, chain }) => generation === 1 && chain.length === 1)).toBe(true);
  expect(new Set(MAP.entries.flatMap(({ chain }) => chain))).toEqual(new Set([1, 2, 3]));
});

test("a map with a number of partitions that is no power of two is refused", () => {
  expect(() => firstPartitionMap({ partitions: 100, nodes: NODES })).toThrow(
    /^100 partitions: the number must be a power of two/,
  );
});

describe("the next map", () => {
  test("with the same nodes is the same map", () => {
    expect(nextPartitionMap(MAP, { nodes: NODES })).toBe(MAP);
  });

  test("after a join raises the version, and the generation of just the partitions that move to the joiner", () => {
    const next = nextPartitionMap(MAP, { nodes: [...NODES, node(4)] });
    expect(next.version).toBe(2);
    for (const [partition, { generation, chain }] of next.entries.entries()) {
      if (chain[0] === 4) expect(generation).toBe(2);
      else expect([chain, generation]).toEqual([MAP.entries[partition]!.chain, 1]);
    }
    expect(next.entries.filter(({ chain }) => chain[0] === 4)).toHaveLength(4);
  });

  test("after a leave raises the generation of just what the leaver had", () => {
    const next = nextPartitionMap(MAP, { nodes: NODES.slice(1) });
    for (const [partition, { generation, chain }] of next.entries.entries()) {
      expect(generation).toBe(MAP.entries[partition]!.chain[0] === 1 ? 2 : 1);
      expect(chain[0]).not.toBe(1);
    }
    expect(partitionMapSchema.parse(next)).toEqual(next);
  });

  test("knows a node that came back with a new number as one without rows", () => {
    const map = firstPartitionMap({ partitions: 16, nodes: NODES, replicas: 2 });
    const next = nextPartitionMap(map, { nodes: [node(7, "ps-1"), ...NODES.slice(1)], replicas: 2 });
    for (const [partition, { generation, chain }] of next.entries.entries()) {
      const before = map.entries[partition]!;
      const survivors = before.chain.filter((number) => number !== 1);
      if (before.chain[0] === 1) expect(chain[0]).toBe(survivors[0]);
      expect(generation).toBe(before.chain.includes(1) || chain.includes(7) ? 2 : 1);
    }
  });

  test("after a new address alone raises the version and no generation", () => {
    const next = nextPartitionMap(MAP, { nodes: [{ ...NODES[0]!, address: "ws://elsewhere:1" }, ...NODES.slice(1)] });
    expect(next.version).toBe(2);
    expect(next.entries).toEqual(MAP.entries);
  });
});
