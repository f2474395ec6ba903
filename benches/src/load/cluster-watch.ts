/** What a bench waits for while a cluster changes. */
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, ClusterStatus } from "volary";

const LOOK_EVERY_MS = 25;
const SETTLED_MS = 500;
const TIMEOUT_MS = 120_000;

/**
 * Resolves with the first status that is as asked for.
 *
 * @param what for people, where it does not come
 * @throws {Error} it did not come in two minutes; the last status
 */
export async function untilStatus(
  cluster: Cluster,
  what: string,
  holds: (status: ClusterStatus) => boolean,
): Promise<ClusterStatus> {
  const endMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    const status = await cluster.status();
    if (holds(status)) return status;
    if (performance.now() > endMs) throw new Error(`not ${what} after two minutes: ${JSON.stringify(status)}`);
    await delay(LOOK_EVERY_MS);
  }
}

/**
 * So many nodes, each the head of partitions; every partition has all its replicas, nothing moves, and draining nodes
 * hold nothing. It must stay so for a while: between one move and the next it looks so, too.
 *
 * @returns since when it is so, in milliseconds since the epoch
 */
export async function untilWhole(cluster: Cluster, nodes: number): Promise<number> {
  let since: number | undefined;
  await untilStatus(cluster, `whole on ${nodes} nodes`, (status) => {
    const now = Date.now();
    since = isWhole(status, nodes) ? (since ?? now) : undefined;
    return since !== undefined && now - since >= SETTLED_MS;
  });
  return since!;
}

function isWhole({ nodes, chains }: ClusterStatus, count: number): boolean {
  const serving = nodes.filter(({ draining, partitions }) => !draining && partitions > 0);
  const emptied = nodes.every(({ draining, partitions, replicas }) => !draining || partitions + replicas === 0);
  return chains.short === 0 && chains.moving === 0 && serving.length === count && emptied;
}

/** The partitions of a lost node have other heads. */
export function untilTakenOver(cluster: Cluster, name: string): Promise<ClusterStatus> {
  return untilStatus(cluster, `taken over from ${name}`, ({ nodes }) =>
    nodes.every((node) => node.name !== name || node.partitions === 0),
  );
}
