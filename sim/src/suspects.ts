/**
 * Which PS nodes the cluster may lose, or has lost and not noticed yet. Faults go only as far as a cluster must bear
 * them: at any time each partition has a replica on a node that nothing has happened to.
 */
import type { PartitionMap } from "@volary/core/partition";

/** What is looked at of a cluster. */
export interface SuspectedCluster {
  readonly clock: { now(): number };
  /** None while it is down. */
  readonly coordinator: { readonly map: PartitionMap | undefined } | undefined;
  /** The number of a node, once it has joined. */
  node(name: string): { readonly node: { readonly node: number } | undefined } | undefined;
}

export class Suspects {
  readonly #cluster: SuspectedCluster;
  /** Numbers of nodes, as partition maps have them. */
  readonly #nodes = new Map<number, { untilMs: number }>();

  /** The coordinator notices nothing until then. */
  #deafUntilMs = 0;

  constructor(cluster: SuspectedCluster) {
    this.#cluster = cluster;
  }

  get none(): boolean {
    this.#clear();
    return this.#nodes.size === 0;
  }

  /** Would each partition still have a replica if this node were lost now, too? */
  mayLose(name: string): boolean {
    this.#clear();
    const { coordinator } = this.#cluster;
    const number = this.#cluster.node(name)?.node?.node;
    if (number === undefined || !coordinator?.map) return false;
    const isLeft = (node: number) => node !== number && !this.#nodes.has(node);
    // The coordinator may go over to the next chain before it notices.
    return coordinator.map.entries.every(({ chain, next = chain }) => chain.some(isLeft) && next.some(isLeft));
  }

  /** The node is lost, or may be until `forMs` from now. */
  add(name: string, forMs: number): void {
    const number = this.#cluster.node(name)?.node?.node;
    if (number === undefined) return;
    const untilMs = Math.max(this.#cluster.clock.now() + forMs, this.#nodes.get(number)?.untilMs ?? 0);
    this.#nodes.set(number, { untilMs });
  }

  /** The coordinator notices nothing for a time. */
  deafen(forMs: number): void {
    this.#deafUntilMs = Math.max(this.#deafUntilMs, this.#cluster.clock.now() + forMs);
  }

  /** Forgets nodes that the map no longer has, and those that have come through. */
  #clear(): void {
    const { coordinator, clock } = this.#cluster;
    const known = new Set(coordinator?.map?.nodes.map(({ node }) => node));
    for (const [node, { untilMs }] of this.#nodes) {
      if (coordinator && (!known.has(node) || clock.now() > Math.max(untilMs, this.#deafUntilMs)))
        this.#nodes.delete(node);
    }
  }
}
