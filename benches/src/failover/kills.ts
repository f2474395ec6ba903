/** Kills PS nodes of a cluster, one after the other, each only when all partitions have all their replicas again. */
import type { SeededRandom } from "@volary/core/testing";
import type { Cluster } from "volary";
import { untilTakenOver, untilWhole } from "../load/cluster-watch.ts";
import type { Span } from "../load/timeline.ts";
import type { BenchCluster, PsProcess } from "../processes/cluster.ts";

/** How a node is lost: by kill −9, or it hangs until the coordinator gives it up. */
export type LossKind = "kill" | "hang";

/** @returns of each kill, the time from it until the cluster was whole again, with a new node of the same name */
export async function killNodes(o: {
  cluster: BenchCluster;
  client: Cluster;
  kills: number;
  kind: LossKind;
  random: SeededRandom;
}): Promise<Span[]> {
  const { cluster, client, kind, random } = o;
  const nodes = new Map<string, PsProcess>(cluster.nodes.map((node) => [node.child.name, node]));
  const spans: Span[] = [];
  await untilWhole(client, nodes.size);
  for (let kill = 1; kill <= o.kills; kill++) {
    const name = [...nodes.keys()][random.below(nodes.size)]!;
    const { child } = nodes.get(name)!;
    const from = Date.now();
    if (kind === "hang") child.freeze();
    else await child.killed();
    await untilTakenOver(client, name);
    const takenOverMs = Date.now() - from;
    await child.killed();
    nodes.set(name, await cluster.startPs(name));
    const to = await untilWhole(client, nodes.size);
    spans.push({ from, to });
    console.error(`kill ${kill}: ${name} taken over after ${takenOverMs} ms, replaced after ${to - from} ms`);
  }
  return spans;
}
