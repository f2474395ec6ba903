import { describe, expect, test } from "vitest";
import { firstPartitionMap, keepsOrder, partitionMapSchema, type PartitionMap, type PsNode } from "./partition-map.ts";

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
      (map) => ({ ...map, entries: [{ generation: 1, headSince: 1, chain: [1, 2, 1] }, ...map.entries.slice(1)] }),
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
    const entries = [{ headSince: 1, chain: [] }, ...MAP.entries.slice(1)];
    expect(partitionMapSchema.safeParse({ ...MAP, entries }).success).toBe(false);
  });

  test("takes every map we make, through JSON", () => {
    expect(partitionMapSchema.parse(JSON.parse(JSON.stringify(MAP)))).toEqual(MAP);
  });
});

test("the first map has version 1, generations 1 and heads on all nodes", () => {
  expect([MAP.version, MAP.heads, MAP.partitionsLog2, MAP.function]).toEqual([1, 1, 4, { kind: "hash" }]);
  expect(MAP.entries.every(({ generation, chain }) => generation === 1 && chain.length === 1)).toBe(true);
  expect(new Set(MAP.entries.flatMap(({ chain }) => chain))).toEqual(new Set([1, 2, 3]));
});

test("a map with a number of partitions that is no power of two is refused", () => {
  expect(() => firstPartitionMap({ partitions: 100, nodes: NODES })).toThrow(
    /^100 partitions: the number must be a power of two/,
  );
});

test("what is to be a chain is of different nodes that are listed", () => {
  const withNext = (next: number[]) => ({ ...MAP, entries: [{ ...MAP.entries[0]!, next }, ...MAP.entries.slice(1)] });
  expect(partitionMapSchema.safeParse(withNext([2, 3])).success).toBe(true);
  const faults = (next: number[]) =>
    partitionMapSchema.safeParse(withNext(next)).error?.issues.map(({ message }) => message);
  expect(faults([2, 9])).toEqual(["partition 0 is on node 9, which is not listed"]);
  expect(faults([2, 2])).toEqual(["partition 0 is twice on one node"]);
});

test("a chain keeps its order where those that stay come first, as they were", () => {
  const chain = [1, 2, 3];
  for (const next of [
    [1, 2, 3],
    [1, 3],
    [2, 3, 4],
    [3, 9, 8],
    [7, 8],
    [1, 2, 3, 4],
  ])
    expect(keepsOrder(chain, next)).toBe(true);
  for (const next of [
    [2, 1, 3],
    [4, 1, 2],
    [1, 4, 3],
    [3, 2],
  ])
    expect(keepsOrder(chain, next)).toBe(false);
});
