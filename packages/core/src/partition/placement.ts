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
 *
 * Nodes behind one port, or on one machine, are lost together. So a chain takes nodes of different machines where it
 * can, else of different ports; behind its head a node may have a quarter more than its share for that.
 */
import { mixA, textHash } from "../hash.ts";

/** Points of a node on the ring. More would spread what moves more evenly; the bound balances loads anyhow. */
const POINTS_PER_NODE = 64;
/** How much more than its share a node may have, so that a chain is on different machines. */
const ROOM_FOR_ANOTHER_MACHINE = 1.25;

/** Per partition the names of its nodes, head first. */
export type Placement = readonly (readonly string[])[];

/** Where a node runs. */
export interface Site {
  readonly machine: string;
  readonly port: string;
}

/** Where the node of an address runs: "ws://host:port/1" and "/2" are behind one port. */
export function siteOf(address: string): Site {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  return { machine: url?.hostname || address, port: url?.port ?? "" };
}

/**
 * Places partitions on nodes. A pure function of its arguments; the order of `nodes` does not matter.
 *
 * @param replicas length of a chain; all nodes when there are fewer
 * @param previous the placement in force; names that are not in `nodes` have left
 * @param sites by name; by default all nodes are on different machines
 * @throws {RangeError} no node, two of one name, no replica, or a previous placement of another size
 */
export function placePartitions({
  partitions,
  nodes,
  replicas = 1,
  previous,
  sites,
}: {
  partitions: number;
  nodes: readonly string[];
  replicas?: number;
  previous?: Placement;
  sites?: ReadonlyMap<string, Site>;
}): Placement {
  checkArguments({ partitions, nodes, replicas, previous });
  const names = [...nodes].sort();
  const ring = ringOf(names);
  const machines = new Machines(names, sites);
  const chains = keepPlaced(partitions, names, previous);
  const old = new Set((previous ?? []).flat());
  const joiners = previous ? names.flatMap((name, node) => (old.has(name) ? [] : [node])) : [];
  const roomPerNode = Math.ceil(partitions / names.length);
  const length = Math.min(replicas, names.length);
  for (let place = 0; place < length; place++) {
    const loads = loadsOf(chains, place, names.length);
    for (const joiner of joiners) relieve({ chains, place, length, loads, roomPerNode, joiner, ring, machines });
    fill({ chains, place, loads, roomPerNode, ring, machines });
    if (place > 0) spread({ chains, place, loads, roomPerNode, ring, machines });
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
  readonly machines: Machines;
}

/** Which nodes share a machine, or a port of it. */
class Machines {
  /** Of each node; the numbers of its machine and its port. */
  readonly #machines: number[];
  readonly #ports: number[];
  readonly count: number;

  constructor(names: readonly string[], sites: ReadonlyMap<string, Site> | undefined) {
    const machineNames = names.map((name) => sites?.get(name)?.machine ?? `node ${name}`);
    const portNames = machineNames.map((machine, node) => `${machine} ${sites?.get(names[node]!)?.port ?? ""}`);
    this.#machines = numbersOf(machineNames);
    this.#ports = numbersOf(portNames);
    this.count = new Set(this.#machines).size;
  }

  /** Of how many machines the nodes of a chain are, that at `place` left out. */
  countOf(chain: readonly number[], place: number): number {
    return new Set(chain.flatMap((node, at) => (at === place ? [] : [this.#machines[node]]))).size;
  }

  /** How near a node is to the nodes of a chain, that at `place` left out: 0 where each is on another machine. */
  nearness(node: number, chain: readonly number[], place: number): number {
    let sum = 0;
    for (const [at, other] of chain.entries()) {
      if (at === place) continue;
      if (this.#machines[other] === this.#machines[node]) sum += 1;
      if (this.#ports[other] === this.#ports[node]) sum += 1;
    }
    return sum;
  }
}

/** Equal texts get equal numbers. */
function numbersOf(texts: readonly string[]): number[] {
  const numbers = new Map<string, number>();
  return texts.map((text) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  });
}

/** Gives the joiner its share from full chains: those that it spreads over machines, then the nearest on the ring. */
function relieve({
  chains,
  place,
  length,
  loads,
  roomPerNode,
  joiner,
  ring,
  machines,
}: PlaceInChain & { length: number; joiner: number }): void {
  const share = Math.floor(chains.length / loads.length);
  const movable = chains
    .flatMap((chain, partition) =>
      chain.length > place && !chain.includes(joiner)
        ? [{ partition, nearer: nearerBy(chain), distance: ring.distance(partition, joiner) }]
        : [],
    )
    .sort((a, b) => a.nearer - b.nearer || a.distance - b.distance || a.partition - b.partition);
  takeOver({ keep: roomPerNode, upTo: roomPerNode });
  takeOver({ keep: share, upTo: share });

  /** How much nearer to each other the nodes of a chain are with the joiner in place of the one that is there. */
  function nearerBy(chain: readonly number[]): number {
    const nearness = (node: number): number => machines.nearness(node, chain, chain.length < length ? -1 : place);
    return nearness(joiner) - (chain.length < length ? 0 : nearness(chain[place]!));
  }

  /** Until the joiner has `upTo`, from nodes that have more than `keep`. */
  function takeOver({ keep, upTo }: { keep: number; upTo: number }): void {
    for (const { partition } of movable) {
      if (loads[joiner]! >= upTo) return;
      const from = chains[partition]![place]!;
      if (loads[from]! <= keep || from === joiner) continue;
      loads[from]! -= 1;
      loads[joiner]! += 1;
      const chain = chains[partition]!;
      // A chain that lacks a node gains the joiner and loses no other.
      chain.splice(place, chain.length < length ? 0 : 1, joiner);
    }
  }
}

/** Gives every chain that is too short the first node clockwise with room, or else the least loaded one. */
function fill(o: PlaceInChain): void {
  const { chains, place, loads, roomPerNode, ring, machines } = o;
  for (const [partition, chain] of chains.entries()) {
    if (chain.length > place) continue;
    const free = (node: number): boolean => !chain.includes(node);
    const withRoom = (each: number): boolean => loads[each]! < roomPerNode && free(each);
    const node =
      onAnotherMachine(o, partition) ??
      (machines.count < loads.length ? farthestOf(o, partition, withRoom) : ring.first(partition, withRoom)) ??
      leastLoaded(loads, free);
    chain.push(node);
    loads[node]! += 1;
  }
}

/** Takes nodes that share a machine with another one of their chain out of it, where there is room on another. */
function spread(o: PlaceInChain): void {
  const { chains, place, loads, machines } = o;
  for (const [partition, chain] of chains.entries()) {
    const before = chain[place];
    if (before === undefined || machines.nearness(before, chain, place) === 0) continue;
    const node = onAnotherMachine(o, partition);
    if (node === undefined) continue;
    loads[before]! -= 1;
    loads[node]! += 1;
    chain[place] = node;
  }
}

/** The first node clockwise with room that shares no machine with the others of a chain: more room, if need be. */
function onAnotherMachine(
  { chains, place, loads, roomPerNode, ring, machines }: PlaceInChain,
  partition: number,
): number | undefined {
  const chain = chains[partition]!;
  if (machines.countOf(chain, place) === machines.count) return undefined;
  const below = (room: number) => (node: number) =>
    loads[node]! < room && !chain.includes(node) && machines.nearness(node, chain, place) === 0;
  const room = place === 0 ? roomPerNode : Math.ceil(ROOM_FOR_ANOTHER_MACHINE * roomPerNode);
  return ring.first(partition, below(roomPerNode)) ?? ring.first(partition, below(room));
}

/** Of the nodes that `accepts` likes one that is least near to the others of a chain, the first of those clockwise. */
function farthestOf(
  { chains, place, loads, ring, machines }: PlaceInChain,
  partition: number,
  accepts: (node: number) => boolean,
): number | undefined {
  const chain = chains[partition]!;
  let least = Infinity;
  for (let node = 0; node < loads.length; node++)
    if (accepts(node)) least = Math.min(least, machines.nearness(node, chain, place));
  return ring.first(partition, (node) => accepts(node) && machines.nearness(node, chain, place) === least);
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
