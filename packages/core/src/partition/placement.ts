/**
 * Which nodes hold which partition: consistent hashing with bounded loads over virtual nodes (Mirrokni, Thorup and
 * Zadimoghaddam, SODA 2018), made sticky by the placement before it.
 *
 * Every node has points on a ring of 2³² places, every partition one. A partition goes to the first node clockwise
 * that has room: fewer than ⌈P / n⌉ partitions. The paper needs room to spare, ⌈c · P / n⌉ with c > 1, or a join
 * would cascade among the old nodes; here what is placed stays where it is, so c = 1 will do:
 *
 * - a joiner takes its share, at least ⌊P / n⌋, from those that have most, nearest on the ring first, and nothing
 *   moves between old nodes;
 * - what a leaver held goes to the first nodes clockwise with room, and nothing else moves.
 *
 * With chains of r nodes each place in the chain is balanced alike. The next in the chain takes the place of a lost
 * head, whatever its load: it has the rows. A chain that lost a node gets a new one and loses no other.
 */
import { mixA, textHash } from "../hash.ts";

/** Points of a node on the ring. More would spread what moves more evenly; the bound balances loads anyhow. */
const POINTS_PER_NODE = 64;

/** Per partition the names of its nodes, head first. */
export type Placement = readonly (readonly string[])[];

/**
 * Places partitions on nodes. A pure function of its arguments; the order of `nodes` does not matter.
 *
 * @param replicas length of a chain; all nodes when there are fewer
 * @param previous the placement in force; names that are not in `nodes` have left
 * @throws {RangeError} no node, two of one name, no replica, or a previous placement of another size
 */
export function placePartitions({
  partitions,
  nodes,
  replicas = 1,
  previous,
}: {
  partitions: number;
  nodes: readonly string[];
  replicas?: number;
  previous?: Placement;
}): Placement {
  checkArguments({ partitions, nodes, replicas, previous });
  const names = [...nodes].sort();
  const ring = ringOf(names);
  const chains = keepPlaced(partitions, names, previous);
  const old = new Set((previous ?? []).flat());
  const joiners = previous ? names.flatMap((name, node) => (old.has(name) ? [] : [node])) : [];
  const roomPerNode = Math.ceil(partitions / names.length);
  const length = Math.min(replicas, names.length);
  for (let place = 0; place < length; place++) {
    const loads = loadsOf(chains, place, names.length);
    for (const joiner of joiners) relieve({ chains, place, length, loads, roomPerNode, joiner, ring });
    fill({ chains, place, loads, roomPerNode, ring });
  }
  return chains.map((chain) => chain.slice(0, length).map((node) => names[node]!));
}

/** One place of all chains, while it is being balanced. Nodes are numbers in the order of their names. */
interface PlaceInChain {
  readonly chains: number[][];
  readonly place: number;
  readonly loads: number[];
  readonly roomPerNode: number;
  readonly ring: Ring;
}

/** Gives the joiner its share from full chains, nearest to the joiner on the ring first. */
function relieve({
  chains,
  place,
  length,
  loads,
  roomPerNode,
  joiner,
  ring,
}: PlaceInChain & { length: number; joiner: number }): void {
  const share = Math.floor(chains.length / loads.length);
  const movable = chains
    .flatMap((chain, partition) =>
      chain.length >= length && !chain.includes(joiner)
        ? [{ partition, distance: ring.distance(partition, joiner) }]
        : [],
    )
    .sort((a, b) => a.distance - b.distance || a.partition - b.partition);
  takeOver({ keep: roomPerNode, upTo: roomPerNode });
  takeOver({ keep: share, upTo: share });

  /** Until the joiner has `upTo`, from nodes that have more than `keep`. */
  function takeOver({ keep, upTo }: { keep: number; upTo: number }): void {
    for (const { partition } of movable) {
      if (loads[joiner]! >= upTo) return;
      const from = chains[partition]![place]!;
      if (loads[from]! <= keep || from === joiner) continue;
      loads[from]! -= 1;
      loads[joiner]! += 1;
      chains[partition]![place] = joiner;
    }
  }
}

/** Gives every chain that is too short the first node clockwise with room, or else the least loaded one. */
function fill({ chains, place, loads, roomPerNode, ring }: PlaceInChain): void {
  for (const [partition, chain] of chains.entries()) {
    if (chain.length > place) continue;
    const free = (node: number): boolean => !chain.includes(node);
    const node = ring.first(partition, (each) => loads[each]! < roomPerNode && free(each)) ?? leastLoaded(loads, free);
    chain.push(node);
    loads[node]! += 1;
  }
}

function leastLoaded(loads: readonly number[], free: (node: number) => boolean): number {
  let least = -1;
  for (let node = 0; node < loads.length; node++) {
    if (free(node) && (least < 0 || loads[node]! < loads[least]!)) least = node;
  }
  return least;
}

/** The previous chains without the nodes that have left, as numbers. */
function keepPlaced(partitions: number, names: readonly string[], previous: Placement | undefined): number[][] {
  const numbers = new Map(names.map((name, node) => [name, node]));
  return Array.from({ length: partitions }, (_, partition) =>
    (previous?.[partition] ?? []).flatMap((name) => numbers.get(name) ?? []),
  );
}

function loadsOf(chains: readonly number[][], place: number, nodes: number): number[] {
  const loads = Array.from({ length: nodes }, () => 0);
  for (const chain of chains) {
    const node = chain[place];
    if (node !== undefined) loads[node]! += 1;
  }
  return loads;
}

interface Ring {
  /** The first node clockwise from a partition that `accepts` likes. */
  first(partition: number, accepts: (node: number) => boolean): number | undefined;
  /** How far it is clockwise from a partition to the nearest point of a node. */
  distance(partition: number, node: number): number;
}

function ringOf(names: readonly string[]): Ring {
  const pointsOf = names.map((name) => Array.from({ length: POINTS_PER_NODE }, (_, i) => textHash(`${name}#${i}`)));
  const points = pointsOf
    .flatMap((of, node) => of.map((at) => ({ at, node })))
    .sort((a, b) => a.at - b.at || a.node - b.node);
  return {
    first(partition, accepts) {
      const from = firstAtOrAfter(points, placeOnRing(partition));
      for (let i = 0; i < points.length; i++) {
        const { node } = points[(from + i) % points.length]!;
        if (accepts(node)) return node;
      }
      return undefined;
    },
    distance(partition, node) {
      const here = placeOnRing(partition);
      let least = 0xffffffff;
      for (const at of pointsOf[node]!) least = Math.min(least, (at - here) >>> 0);
      return least;
    },
  };
}

function placeOnRing(partition: number): number {
  return mixA(partition ^ 0x5bd1e995);
}

/** Binary search; the length when there is none. */
function firstAtOrAfter(points: readonly { at: number }[], place: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle]!.at < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

function checkArguments({
  partitions,
  nodes,
  replicas,
  previous,
}: {
  partitions: number;
  nodes: readonly string[];
  replicas: number;
  previous: Placement | undefined;
}): void {
  if (nodes.length === 0) throw new RangeError(`${partitions} partitions on 0 nodes: start a PS node first`);
  if (!(Number.isInteger(replicas) && replicas >= 1))
    throw new RangeError(`${replicas} replicas: it must be 1 or more`);
  const twice = nodes.find((name, i) => nodes.indexOf(name) !== i);
  if (twice !== undefined) throw new RangeError(`two PS nodes are named "${twice}": names must differ`);
  if (previous && previous.length !== partitions) {
    throw new RangeError(
      `the previous placement has ${previous.length} partitions, not ${partitions}: their number is fixed`,
    );
  }
}
