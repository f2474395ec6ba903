/**
 * When all is quiet, the replicas of a partition hold the same, bit for bit; nodes outside of its chain hold nothing of
 * it; every chain is as long as it should be; and all nodes go by one map.
 */
import type { PartitionMap } from "@volary/core/partition";

/** A PS node as the check sees it. */
export interface NodeToCheck {
  node: number;
  mapVersion: number | undefined;
  /** Of each partition of a job; "" where the node has no whole replica of it. */
  digests(job: number): readonly string[];
}

export interface ReplicasToCheck {
  map: PartitionMap;
  nodes: readonly NodeToCheck[];
  jobs: readonly number[];
  /** How many each partition should have. */
  replicas: number;
}

export function faultsOfReplicas({ map, nodes, jobs, replicas }: ReplicasToCheck): string[] {
  const faults: string[] = [];
  for (const [partition, { chain, next, held }] of map.entries.entries()) {
    if (chain.length !== replicas || next || held)
      faults.push(`partition ${partition} is on nodes ${chain.join(", ")}, and should be on ${replicas}`);
  }
  for (const { node, mapVersion } of nodes) {
    if (mapVersion !== map.version) faults.push(`node ${node} goes by map ${mapVersion}, not by ${map.version}`);
  }
  for (const job of jobs) {
    const digests = new Map(nodes.map((node) => [node.node, node.digests(job)]));
    for (const [partition, { chain }] of map.entries.entries()) {
      const mine = chain.map((node) => digests.get(node)?.[partition] ?? "");
      if (mine.includes(""))
        faults.push(`a node of ${chain.join(", ")} has no replica of partition ${partition} of job ${job}`);
      else if (new Set(mine).size > 1)
        faults.push(`the replicas of partition ${partition} of job ${job} on nodes ${chain.join(", ")} differ`);
      for (const [node, of] of digests) {
        if (!chain.includes(node) && (of[partition] ?? "") !== "")
          faults.push(`node ${node} still has partition ${partition} of job ${job}`);
      }
    }
  }
  return faults;
}
