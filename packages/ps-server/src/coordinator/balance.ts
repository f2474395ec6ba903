/**
 * How busy each partition is, and which heads are to move so that no node is much busier than the others. Keys are
 * not equally popular, so as many partitions on each node are not as much work for each.
 */
import { LIMITS } from "@volary/core/limits";
import type { ControlOf } from "@volary/core/wire";

/** A rate counts half of what it was after about three seconds. */
const REMEMBERED_MS = 5_000;
/** Balancing begins where the busiest node is this many times as busy as the mean, and ends at the other. */
const BEGIN_ABOVE = 1.15;
const END_BELOW = 1.05;
/** A move must relieve the busiest node by so much of the mean: what is hot may leave only small ones to move. */
const RELIEF_MIN = 0.002;

export type HeartbeatLoad = NonNullable<ControlOf<"heartbeat">["load"]>;

/** Rows per second that each partition's head reads and changes for clients: an exponentially weighted mean. */
export class Loads {
  readonly #rates: Float64Array;
  /** When each node was last heard. */
  readonly #heardAt = new Map<number, number>();

  constructor(partitions: number) {
    this.#rates = new Float64Array(partitions);
  }

  get rates(): Readonly<Float64Array> {
    return this.#rates;
  }

  /**
   * Takes what a node counted since its last heartbeat.
   *
   * @param o.headOf the partitions it is the head of
   */
  heard({ node, load, headOf }: { node: number; load?: HeartbeatLoad; headOf: Iterable<number> }, now: number): void {
    const before = this.#heardAt.get(node);
    this.#heardAt.set(node, now);
    if (before === undefined || now <= before) return;
    const rows = new Map(load?.partitions.map((partition, i) => [partition, load.rows[i] ?? 0]));
    const weight = 1 - Math.exp(-(now - before) / REMEMBERED_MS);
    for (const partition of headOf) {
      const rate = ((rows.get(partition) ?? 0) * 1000) / (now - before);
      this.#rates[partition]! += weight * (rate - this.#rates[partition]!);
    }
  }

  forget(node: number): void {
    this.#heardAt.delete(node);
  }
}

export interface HeadMove {
  partition: number;
  to: number;
}

/**
 * Which partitions are to get another head. Takes from the busiest node what makes the busier of the two nodes least
 * busy, again and again, as long as that helps.
 *
 * @param o.loads of each partition, in any unit; zero for all gives no move
 * @param o.heads the node that is the head of each partition
 * @param o.nodes those that may be heads
 */
export function headMoves({
  loads,
  heads,
  nodes,
  movesMax,
}: {
  loads: ArrayLike<number>;
  heads: readonly number[];
  nodes: readonly number[];
  movesMax: number;
}): HeadMove[] {
  const busy = busyOf({ loads, heads, nodes });
  const mean = [...busy.values()].reduce((sum, load) => sum + load, 0) / nodes.length;
  const now = [...heads];
  const moves = new Map<number, number>();
  let above = BEGIN_ABOVE;
  while (moves.size < movesMax && nodes.length > 1) {
    const [busiest, idlest] = extremes(busy);
    if (busiest.load <= above * mean) break;
    above = END_BELOW;
    const partition = bestToMove({ loads, heads: now, busiest, idlest });
    if (partition === undefined) break;
    const load = loads[partition]!;
    if (busiest.load - Math.max(busiest.load - load, idlest.load + load) < RELIEF_MIN * mean) break;
    busy.set(busiest.node, busiest.load - load);
    busy.set(idlest.node, idlest.load + load);
    now[partition] = idlest.node;
    moves.set(partition, idlest.node);
  }
  return Array.from(moves, ([partition, to]) => ({ partition, to }));
}

/** Is there a load that is worth moving anything? */
export function isWorthwhile(loads: Readonly<Float64Array>): boolean {
  return loads.reduce((sum, load) => sum + load, 0) >= LIMITS.balanceRowsMin;
}

/** How busy each node is. */
export function busyOf({
  loads,
  heads,
  nodes,
}: {
  loads: ArrayLike<number>;
  heads: readonly (number | undefined)[];
  nodes: readonly number[];
}): Map<number, number> {
  const busy = new Map(nodes.map((node) => [node, 0]));
  for (const [partition, head] of heads.entries()) {
    const before = head === undefined ? undefined : busy.get(head);
    if (before !== undefined) busy.set(head!, before + loads[partition]!);
  }
  return busy;
}

interface Busy {
  node: number;
  load: number;
}

function extremes(busy: ReadonlyMap<number, number>): [Busy, Busy] {
  const all = Array.from(busy, ([node, load]) => ({ node, load }));
  return [all.reduce((a, b) => (b.load > a.load ? b : a)), all.reduce((a, b) => (b.load < a.load ? b : a))];
}

/** The partition of the busiest node whose load is nearest to half the difference. */
function bestToMove({
  loads,
  heads,
  busiest,
  idlest,
}: {
  loads: ArrayLike<number>;
  heads: readonly number[];
  busiest: Busy;
  idlest: Busy;
}): number | undefined {
  const half = (busiest.load - idlest.load) / 2;
  let best: number | undefined;
  for (const [partition, head] of heads.entries()) {
    if (head !== busiest.node) continue;
    if (best === undefined || Math.abs(loads[partition]! - half) < Math.abs(loads[best]! - half)) best = partition;
  }
  return best;
}
