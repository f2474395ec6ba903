/** A cluster that grows from 2 nodes to 3 or 4 and shrinks to 2 again while clients push and pull. */
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "volary";
import { untilStatus, untilWhole } from "../load/cluster-watch.ts";
import { OpenLoad, type LoadOutcome } from "../load/open-load.ts";
import { chainNames, partitionMapOf } from "../load/partition-map.ts";
import type { Span } from "../load/timeline.ts";
import { startCluster } from "../processes/cluster.ts";
import { movedBy, type Moved } from "./joins.ts";

export interface Grown {
  joins: Moved[];
  /** When nothing moved, and when something did. */
  before: Span;
  moving: Span[];
  load: LoadOutcome;
  /** Partitions that were moved for the load of nodes, of which there should be none here: it is even. */
  overrides: number;
}

const NODES = 2;
const FROZEN_MS = 1_000;

/**
 * @param o.joins nodes that join, 1 or 2; then as many of the first leave
 * @param o.rows of 8 floats
 * @param o.fault in a control, a node hangs for a second in each move, and the load miscounts; it only grows then
 */
export async function growAndShrink(o: {
  joins: number;
  rows: number;
  perSecond: number;
  steadyMs: number;
  fault?: "hang-and-miscount" | undefined;
}): Promise<Grown> {
  const at = await startCluster({ ps: NODES, replicas: 2, psArgs: ["--memory-max", "512m"] });
  const client = await Cluster.connect(at.address);
  const load = await OpenLoad.start({
    coordinator: at.address,
    pushesPerSecond: o.perSecond,
    pullsPerSecond: o.perSecond,
    rows: o.rows,
    fault: o.fault && "miscounts",
  });
  const joins: Moved[] = [];
  const moving: Span[] = [];
  /** Changes the cluster and waits until nothing moves any more. */
  const change = async (what: string, nodes: number, begin: () => Promise<unknown>) => {
    await begin();
    const from = Date.now();
    if (o.fault) {
      at.nodes[1]!.child.freeze();
      await delay(FROZEN_MS);
      at.nodes[1]!.child.thaw();
    }
    const to = await untilWhole(client, nodes);
    moving.push({ from, to });
    console.error(`${what}: ${to - from} ms until nothing moved`);
  };
  const join = async (name: string, nodes: number) => {
    const before = chainNames(await partitionMapOf(at.address));
    await change(`${name} joins`, nodes, () => at.startPs(name));
    joins.push(movedBy(before, chainNames(await partitionMapOf(at.address)), name));
  };
  const drain = async (position: number, nodes: number) => {
    const { child } = at.nodes[position]!;
    await change(`${child.name} is drained`, nodes, () => client.drain(child.name));
    await child.stop();
    await untilStatus(client, `without ${child.name}`, (status) => status.nodes.length === nodes);
  };
  try {
    const from = await untilWhole(client, NODES);
    await delay(o.steadyMs);
    const before = { from, to: Date.now() };
    const nodesMost = NODES + o.joins;
    for (let nodes = NODES + 1; nodes <= nodesMost; nodes++) await join(`ps-${nodes}`, nodes);
    for (let left = 1; !o.fault && left <= o.joins; left++) await drain(left - 1, nodesMost - left);
    const { overrides } = await client.status();
    return { joins, before, moving, overrides, load: await load.end() };
  } finally {
    load.kill();
    await client.stop();
    await at.stop();
  }
}
