import { describe, expect, it } from "vitest";
import { partitionFunction, placePartitions } from "@volary/core/partition";
import { seededRandom } from "@volary/core/testing";
import { busyOf, headMoves, isWorthwhile, Loads } from "./balance.ts";

const NODES = [0, 1, 2, 3];

function ratioOf(loads: ArrayLike<number>, heads: readonly number[]): number {
  const busy = [...busyOf({ loads, heads, nodes: NODES }).values()];
  return Math.max(...busy) / (busy.reduce((sum, load) => sum + load, 0) / busy.length);
}

/** Loads of 256 partitions under keys whose popularity falls with the power `exponent` of their rank. */
function zipfLoads(seed: number, exponent: number): Float64Array {
  const partitionOf = partitionFunction({ kind: "hash" }, 256);
  const random = seededRandom(seed);
  const loads = new Float64Array(256);
  for (let rank = 1; rank <= 20_000; rank++)
    loads[partitionOf(random.below(2 ** 32), random.below(2 ** 32))]! += 1 / rank ** exponent;
  return loads;
}

describe("headMoves", () => {
  it("brings keys of Zipf 1.2 on 4 nodes to 1.3 times the mean or less, some moves at a time", () => {
    const names = NODES.map((node) => `ps-${node}`);
    const placed = placePartitions({ partitions: 256, nodes: names }).map(([name]) => names.indexOf(name!));
    const before: number[] = [];
    for (let seed = 1; seed <= 50; seed++) {
      const loads = zipfLoads(seed, 1.2);
      const heads = [...placed];
      before.push(ratioOf(loads, heads));
      let moved = 0;
      for (let round = 0; round < 20; round++) {
        const moves = headMoves({ loads, heads, nodes: NODES, movesMax: 8 });
        expect(moves.length).toBeLessThanOrEqual(8);
        for (const { partition, to } of moves) heads[partition] = to;
        moved += moves.length;
      }
      expect(ratioOf(loads, heads)).toBeLessThanOrEqual(1.3);
      expect(moved).toBeLessThan(64);
      expect(headMoves({ loads, heads, nodes: NODES, movesMax: 8 })).toEqual([]);
    }
    expect(Math.max(...before)).toBeGreaterThan(1.5);
  });

  it("moves nothing while no node is busier than 1.15 times the mean", () => {
    const loads = [1.1, 1, 1, 0.9];
    expect(headMoves({ loads, heads: [0, 1, 2, 3], nodes: NODES, movesMax: 8 })).toEqual([]);
  });

  it("moves nothing where there is no load, one node, or one partition that is all the load", () => {
    expect(headMoves({ loads: [0, 0], heads: [0, 0], nodes: [0, 1], movesMax: 8 })).toEqual([]);
    expect(headMoves({ loads: [5, 5], heads: [0, 0], nodes: [0], movesMax: 8 })).toEqual([]);
    expect(headMoves({ loads: [5, 0], heads: [0, 0], nodes: [0, 1], movesMax: 8 })).toEqual([]);
  });

  it("takes what comes nearest to half the difference, from the busiest to the idlest", () => {
    const moves = headMoves({ loads: [8, 3, 2, 4], heads: [0, 0, 0, 1], nodes: [0, 1], movesMax: 1 });
    expect(moves).toEqual([{ partition: 1, to: 1 }]);
  });

  it("gives nothing to a node that may not be a head, and takes nothing from it", () => {
    const moves = headMoves({ loads: [9, 1, 1, 50], heads: [0, 0, 0, 7], nodes: [0, 1], movesMax: 8 });
    expect(moves).toEqual([{ partition: 0, to: 1 }]);
  });
});

describe("Loads", () => {
  it("come to the rate of the newest heartbeats, in rows per second, and are forgotten as slowly", () => {
    const loads = new Loads(4);
    const beat = (rows: number, now: number) =>
      loads.heard({ node: 1, load: { partitions: [2], rows: [rows] }, headOf: [0, 2] }, now);
    for (let at = 0; at <= 30_000; at += 500) beat(100, at);
    expect([...loads.rates].map(Math.round)).toEqual([0, 0, 200, 0]);
    loads.heard({ node: 1, headOf: [0, 2] }, 33_500);
    expect(loads.rates[2]).toBeGreaterThan(80);
    expect(loads.rates[2]).toBeLessThan(120);
  });

  it("are worth a move from so many rows per second on", () => {
    expect(isWorthwhile(new Float64Array([400, 500]))).toBe(false);
    expect(isWorthwhile(new Float64Array([500, 500]))).toBe(true);
  });

  it("do not count what came before the first heartbeat, or at the same moment", () => {
    const loads = new Loads(1);
    for (const now of [5, 5]) loads.heard({ node: 1, load: { partitions: [0], rows: [1000] }, headOf: [0] }, now);
    expect(loads.rates[0]).toBe(0);
  });
});
