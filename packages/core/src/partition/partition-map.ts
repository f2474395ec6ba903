/**
 * The partition map: which nodes hold which partition, as data. The coordinator makes it; clients route by it and
 * PS nodes check against it. Its version rises with every change; the generation of one partition rises only
 * when the chain of that partition changes, so a change elsewhere makes no request stale.
 *
 * Requests go to the head of a chain, and it serves those of any generation since it is the head: what happens behind
 * it concerns no client. Only a change of heads begins a new term of the jobs that are trained.
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
  /** The generation since which `chain[0]` is the head. */
  headSince: u32,
  /** Node numbers, head first. Along a chain each node has all records of those behind it. */
  chain: z.array(u32).min(1),
  /**
   * The chain it is to become: the tail brings those that are missing up to date, and tells the coordinator, which then
   * makes it the chain.
   */
  next: z.array(u32).min(1).optional(),
  /** The order of the chain is about to change: its head takes nothing until it has. */
  held: z.boolean().optional(),
});
export type PartitionEntry = z.infer<typeof partitionEntrySchema>;

export const partitionMapSchema = z
  .strictObject({
    version: u32,
    /** The version in which a head changed last: what the messages of a step name. */
    heads: u32,
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
    heads: 1,
    partitionsLog2: partitionsLog2Of(of.partitions),
    function: of.function ?? { kind: "hash" },
    nodes: [...of.nodes],
    entries: chainsOf(placement, of.nodes).map((chain) => ({ generation: 1, headSince: 1, chain })),
  };
}

/**
 * May `chain` become `next` while it takes requests? Nodes of both keep their order and come first: then each node has
 * all records of those behind it, before and after.
 */
export function keepsOrder(chain: readonly number[], next: readonly number[]): boolean {
  const old = chain.filter((node) => next.includes(node));
  return old.every((node, place) => node === next[place]);
}

export function sameChain(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i]);
}

/** The chains of a placement by the numbers of its nodes. */
export function chainsOf(placement: Placement, nodes: readonly PsNode[]): number[][] {
  const numbers = new Map(nodes.map(({ node, name }) => [name, node]));
  return placement.map((chain) => chain.map((name) => numbers.get(name)!));
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
  for (const [partition, { chain, next = [] }] of map.entries.entries()) {
    const unknown = [...chain, ...next].find((node) => !nodes.has(node));
    if (unknown !== undefined) faults.push(`partition ${partition} is on node ${unknown}, which is not listed`);
    if (new Set(chain).size !== chain.length || new Set(next).size !== next.length)
      faults.push(`partition ${partition} is twice on one node`);
  }
  return faults;
}
