/** Chains are of different machines, also when heads move and replicas are lost. */
import { describe, expect, it } from "vitest";
import { siteOf } from "@volary/core/partition";
import { WantedChains } from "./wanted-chains.ts";

/** Nodes 1, 2, … two on each machine, behind one port. */
function placed({ nodes: count, replicas }: { nodes: number; replicas: number }) {
  const nodes = Array.from({ length: count }, (_, i) => {
    const address = `ws://machine-${Math.floor(i / 2)}:7000/${(i % 2) + 1}`;
    return { node: i + 1, name: `ps-${i + 1}`, address };
  });
  const wanted = new WantedChains({ replicas });
  wanted.place({ nodes, chains: Array.from({ length: 64 }, () => []) });
  const machines = (chain: readonly number[]) => chain.map((node) => siteOf(nodes[node - 1]!.address).machine);
  const isSpread = (chain: readonly number[]) => new Set(machines(chain)).size === chain.length;
  return { wanted, isSpread, chains: Array.from({ length: 64 }, (_, p) => wanted.target(p, [])) };
}

describe("a chain", () => {
  it("has no two nodes that are behind one port", () => {
    const { chains, isSpread } = placed({ nodes: 4, replicas: 2 });
    expect(chains.filter((chain) => !isSpread(chain))).toEqual([]);
  });

  it("whose head moves to the machine of another replica keeps the old head in place of that", () => {
    const { wanted, chains, isSpread } = placed({ nodes: 4, replicas: 2 });
    for (const [partition, chain] of chains.entries()) {
      for (const to of [1, 2, 3, 4].filter((node) => !chain.includes(node))) {
        wanted.moveHead({ partition, to });
        const moved = wanted.target(partition, []);
        expect([moved[0], isSpread(moved), new Set(moved).size]).toEqual([to, true, 2]);
      }
    }
  });

  it("whose head changes places with another replica has the same nodes", () => {
    const { wanted, chains } = placed({ nodes: 6, replicas: 3 });
    const [a, b, c] = chains[0]!;
    wanted.moveHead({ partition: 0, to: c! });
    expect(wanted.target(0, [])).toEqual([c, b, a]);
  });

  it("that lost a replica gets another one on another machine", () => {
    const { wanted, chains, isSpread } = placed({ nodes: 6, replicas: 2 });
    for (const [partition, chain] of chains.entries()) {
      wanted.setBroken({ partition, node: chain[1]!, until: 1 });
      const target = wanted.target(partition, chain.slice(0, 1));
      expect([target.length, target.includes(chain[1]!), isSpread(target)]).toEqual([2, false, true]);
    }
  });
});
