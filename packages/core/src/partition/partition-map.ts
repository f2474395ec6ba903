/**
 * The partition map: which nodes hold which partition, as data. The coordinator makes it; clients route by it and
 * PS nodes check against it. Its version rises with every change; the generation of one partition rises only
 * when the chain of that partition changes, so a change elsewhere makes no request stale.
 */
import { z } from "zod";
import { LIMITS } from "../limits.ts";
import { placePartitions, type Placement } from "./placement.ts";
import { partitionFunctionSchema, partitionsLog2Of, type PartitionFunction } from "./partition-function.ts";

const u32 = z.number().int().min(0).max(0xffff_ffff);

export const psNodeSchema = z.strictObject({
  /** Number of one life of the node: a node that comes back without its rows has a new one. */
  node: u32,
  name: z.string().min(1).max(200),
  address: z.string().min(1).max(2000),
});
export type PsNode = z.infer<typeof psNodeSchema>;

export const partitionEntrySchema = z.strictObject({
  generation: u32,
  /** Node numbers, head first. */
  chain: z.array(u32).min(1),
});
export type PartitionEntry = z.infer<typeof partitionEntrySchema>;

export const partitionMapSchema = z
  .strictObject({
    version: u32,
    partitionsLog2: z.number().int().min(0).max(Math.log2(LIMITS.partitionsMax)),
    function: partitionFunctionSchema,
    nodes: z.array(psNodeSchema).max(LIMITS.psNodesMax),
    entries: z.array(partitionEntrySchema).max(LIMITS.partitionsMax),
  })
  .superRefine((map, context) => {
    for (const message of faultsOf(map)) context.addIssue({ code: "custom", message });
  });
export type PartitionMap = z.infer<typeof partitionMapSchema>;

/** The first map of a cluster: version 1, all generations 1. */
export function firstPartitionMap(of: {
  partitions: number;
  function?: PartitionFunction;
  nodes: readonly PsNode[];
  replicas?: number;
}): PartitionMap {
  const placement = placePartitions({
    partitions: of.partitions,
    nodes: of.nodes.map(({ name }) => name),
    ...(of.replicas === undefined ? {} : { replicas: of.replicas }),
  });
  return {
    version: 1,
    partitionsLog2: partitionsLog2Of(of.partitions),
    function: of.function ?? { kind: "hash" },
    nodes: [...of.nodes],
    entries: chainsOf(placement, of.nodes).map((chain) => ({ generation: 1, chain })),
  };
}

/**
 * The map after nodes joined or left: what can stay stays (see placement.ts), and only the partitions whose chain
 * changed have a new generation. The same nodes give the same map.
 */
export function nextPartitionMap(map: PartitionMap, of: { nodes: readonly PsNode[]; replicas?: number }): PartitionMap {
  const placement = placePartitions({
    partitions: map.entries.length,
    nodes: of.nodes.map(({ name }) => name),
    previous: placementOf(map, of.nodes),
    ...(of.replicas === undefined ? {} : { replicas: of.replicas }),
  });
  const entries = chainsOf(placement, of.nodes).map((chain, partition) => {
    const entry = map.entries[partition]!;
    return sameChain(chain, entry.chain) ? entry : { generation: entry.generation + 1, chain };
  });
  const unchanged =
    entries.every((entry, partition) => entry === map.entries[partition]) && sameNodes(map.nodes, of.nodes);
  return unchanged ? map : { ...map, version: map.version + 1, nodes: [...of.nodes], entries };
}

/** The names in force; a node that came back with a new number has lost its rows and counts as a joiner. */
function placementOf(map: PartitionMap, nodes: readonly PsNode[]): Placement {
  const alive = new Set(nodes.map(({ node }) => node));
  const names = new Map(map.nodes.map(({ node, name }) => [node, name]));
  return map.entries.map(({ chain }) => chain.flatMap((node) => (alive.has(node) ? (names.get(node) ?? []) : [])));
}

function chainsOf(placement: Placement, nodes: readonly PsNode[]): number[][] {
  const numbers = new Map(nodes.map(({ node, name }) => [name, node]));
  return placement.map((chain) => chain.map((name) => numbers.get(name)!));
}

function sameChain(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i]);
}

function sameNodes(a: readonly PsNode[], b: readonly PsNode[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ node, name, address }, i) => node === b[i]!.node && name === b[i]!.name && address === b[i]!.address)
  );
}

function faultsOf(map: Pick<PartitionMap, "partitionsLog2" | "function" | "nodes" | "entries">): string[] {
  const faults: string[] = [];
  const partitions = 2 ** map.partitionsLog2;
  const nodes = new Set(map.nodes.map(({ node }) => node));
  const names = new Set(map.nodes.map(({ name }) => name));
  if (map.entries.length !== partitions)
    faults.push(`${map.entries.length} entries, but 2^${map.partitionsLog2} partitions`);
  if (nodes.size !== map.nodes.length) faults.push("two nodes have the same number");
  if (names.size !== map.nodes.length) faults.push("two nodes have the same name");
  if (map.function.kind === "range" && map.function.keyBits < map.partitionsLog2) {
    faults.push(`2^${map.partitionsLog2} ranges of ${map.function.keyBits}-bit keys would be empty`);
  }
  for (const [partition, { chain }] of map.entries.entries()) {
    const unknown = chain.find((node) => !nodes.has(node));
    if (unknown !== undefined) faults.push(`partition ${partition} is on node ${unknown}, which is not listed`);
    if (new Set(chain).size !== chain.length) faults.push(`partition ${partition} is twice on one node`);
  }
  return faults;
}
