/**
 * Which chain every partition is to have: the placement of the nodes there are (core/partition/placement.ts), heads
 * that were moved for their load, no node that is being drained. `Chains` gets there step by step.
 */
import { LIMITS } from "@volary/core/limits";
import { chainsOf, placePartitions, sameChain, siteOf, type PsNode } from "@volary/core/partition";
import { z } from "zod";
import type { HeadMove } from "./balance.ts";

const u32 = z.number().int().min(0).max(0xffff_ffff);

/** What a coordinator that starts again goes on from. */
export const savedPlanSchema = z.strictObject({
  wanted: z.array(z.array(u32)).max(LIMITS.partitionsMax),
  overrides: z.array(u32).max(LIMITS.partitionsMax),
  draining: z.array(u32).max(LIMITS.psNodesMax),
});
export type SavedPlan = z.infer<typeof savedPlanSchema>;

export class WantedChains {
  readonly #replicas: number;
  #nodes: PsNode[] = [];
  #wanted: number[][];
  /** Partitions whose head was moved for its load. */
  readonly #overrides: Set<number>;
  /** The newest of those that are lost, too: one of them may come back. */
  readonly #draining: Set<number>;
  /** Nodes that cannot hold the rows of a job that is open. */
  readonly #unfit = new Set<number>();
  /** Nodes that could not hold a replica of a partition, and until when they are not chosen for it. */
  readonly #broken = new Map<number, Map<number, number>>();

  constructor({ replicas, saved }: { replicas: number; saved?: SavedPlan }) {
    this.#replicas = replicas;
    this.#wanted = saved?.wanted ?? [];
    this.#overrides = new Set(saved?.overrides);
    this.#draining = new Set(saved?.draining);
  }

  get overrides(): number {
    return this.#overrides.size;
  }

  /** To be saved. */
  get plan(): SavedPlan {
    return { wanted: this.#wanted, overrides: [...this.#overrides], draining: [...this.#draining] };
  }

  get heads(): number[] {
    return this.#wanted.map((chain) => chain[0]!);
  }

  /** Nodes that may hold partitions: where none is left that should, those that still can. */
  get eligible(): PsNode[] {
    const fit = this.#nodes.filter(({ node }) => !this.#unfit.has(node));
    const staying = fit.filter(({ node }) => !this.#draining.has(node));
    return [staying, fit, this.#nodes].find(({ length }) => length > 0) ?? [];
  }

  isDraining(node: number): boolean {
    return this.#draining.has(node);
  }

  drain(node: number): void {
    this.#draining.add(node);
    const lost = [...this.#draining].filter((each) => !this.#nodes.some((known) => known.node === each));
    for (const each of lost.slice(0, Math.max(0, this.#draining.size - LIMITS.psNodesMax))) this.#draining.delete(each);
  }

  /** A node that was lost is back under another number. */
  rename({ before, node }: { before: number; node: number }): void {
    if (this.#draining.delete(before)) this.#draining.add(node);
  }

  setUnfit(node: number): void {
    this.#unfit.add(node);
  }

  /** `node` is not chosen for `partition` until then. */
  setBroken({ partition, node, until }: { partition: number; node: number; until: number }): void {
    const nodes = this.#broken.get(partition) ?? new Map<number, number>();
    this.#broken.set(partition, nodes.set(node, until));
  }

  /** No job is open any more: what nodes could not hold is gone. */
  forgetFailures(): void {
    this.#unfit.clear();
    this.#broken.clear();
  }

  forget(node: number): void {
    this.#unfit.delete(node);
    for (const nodes of this.#broken.values()) nodes.delete(node);
  }

  tick(now: number): void {
    for (const [partition, nodes] of this.#broken) {
      for (const [node, until] of nodes) if (until <= now) nodes.delete(node);
      if (nodes.size === 0) this.#broken.delete(partition);
    }
  }

  /**
   * Places the partitions anew on the nodes that there are now; what can stay stays.
   *
   * @param o.chains as they are
   */
  place({ nodes, chains }: { nodes: readonly PsNode[]; chains: readonly (readonly number[])[] }): void {
    this.#nodes = [...nodes];
    const { eligible } = this;
    if (eligible.length === 0) return;
    const names = new Map(eligible.map(({ node, name }) => [node, name]));
    const alive = new Set(nodes.map(({ node }) => node));
    // A move to a node that is lost is given up: the chain stays where it is.
    const previous = chains.map((chain, partition) => {
      const wanted = this.#wanted[partition] ?? chain;
      const from = wanted.every((node) => alive.has(node)) ? wanted : chain;
      return from.flatMap((node) => names.get(node) ?? []);
    });
    const isFirst = previous.every((chain) => chain.length === 0);
    const placement = placePartitions({
      partitions: chains.length,
      nodes: [...names.values()],
      replicas: this.#replicas,
      sites: new Map(eligible.map(({ name, address }) => [name, siteOf(address)])),
      ...(isFirst ? {} : { previous }),
    });
    const wanted = chainsOf(placement, eligible);
    for (const partition of this.#overrides) {
      if (wanted[partition]![0] !== this.#wanted[partition]?.[0]) this.#overrides.delete(partition);
    }
    this.#wanted = wanted;
  }

  /** Another head: it changes places with the old one where it is a replica already, or another on its machine is. */
  moveHead({ partition, to }: HeadMove): void {
    const [head, ...others] = this.#wanted[partition]!;
    const isNear = (a: number, b: number) => this.#machineOf(a) === this.#machineOf(b);
    const near = isNear(to, head!) ? -1 : others.findIndex((node) => isNear(to, node));
    const place = others.includes(to) ? others.indexOf(to) : near;
    this.#wanted[partition] = [to, ...others.map((node, i) => (i === place ? head! : node))];
    this.#overrides.add(partition);
  }

  #machineOf(node: number): string | undefined {
    const found = this.#nodes.find((each) => each.node === node);
    return found && siteOf(found.address).machine;
  }

  /** What `chain` is to become; the same where it is as it should be. */
  target(partition: number, chain: readonly number[]): readonly number[] {
    const wanted = this.#wanted[partition] ?? chain;
    const broken = this.#broken.get(partition);
    if (!broken || !wanted.some((node) => broken.has(node))) return sameChain(wanted, chain) ? chain : wanted;
    return this.#without(broken, chain, wanted);
  }

  /** The chain as it is, made whole from the other nodes. */
  #without(
    broken: ReadonlyMap<number, number>,
    chain: readonly number[],
    wanted: readonly number[],
  ): readonly number[] {
    const may = new Set(this.eligible.flatMap(({ node }) => (broken.has(node) ? [] : [node])));
    const machines = new Set(chain.filter((node) => may.has(node)).map((node) => this.#machineOf(node)));
    const isNear = (node: number) => machines.has(this.#machineOf(node));
    const others = [...may].toSorted((a, b) => Number(isNear(a)) - Number(isNear(b)));
    const candidates = [...chain, ...wanted, ...others].filter((node) => may.has(node));
    const target = [...new Set(candidates)].slice(0, this.#replicas);
    return target.length < Math.min(chain.length, this.#replicas) ? chain : target;
  }
}
