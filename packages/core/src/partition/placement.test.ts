import { describe, expect, test } from "vitest";
import { placePartitions, siteOf, type Placement, type Site } from "./placement.ts";
import { textHash } from "../hash.ts";

const PARTITIONS = 256;

/** 100 sets of node names, 8 each: host names, addresses, pods, words that share all but a letter. */
const nameSets = Array.from({ length: 100 }, (_, set) =>
  Array.from({ length: 8 }, (__, i) => {
    const noise = textHash(`${set}/${i}`).toString(16);
    return [`ps-${set}-${i}`, `10.0.${set}.${i + 1}:7070`, `ps-${noise}`, `${noise}.example`][set % 4]!;
  }),
);

function loadsOf(placement: Placement, place = 0): Map<string, number> {
  const loads = new Map<string, number>();
  for (const chain of placement) loads.set(chain[place]!, (loads.get(chain[place]!) ?? 0) + 1);
  return loads;
}

function heads(placement: Placement): string[] {
  return placement.map((chain) => chain[0]!);
}

describe("bad arguments", () => {
  test("no node is refused", () => {
    expect(() => placePartitions({ partitions: 4, nodes: [] })).toThrow(
      new RangeError("4 partitions on 0 nodes: start a PS node first"),
    );
  });

  test("two nodes of one name are refused", () => {
    expect(() => placePartitions({ partitions: 4, nodes: ["a", "b", "a"] })).toThrow(
      new RangeError('two PS nodes are named "a": names must differ'),
    );
  });

  test("no replica is refused", () => {
    expect(() => placePartitions({ partitions: 4, nodes: ["a"], replicas: 0 })).toThrow(
      new RangeError("0 replicas: it must be 1 or more"),
    );
  });

  test("a previous placement of another size is refused", () => {
    expect(() => placePartitions({ partitions: 4, nodes: ["a"], previous: [["a"]] })).toThrow(
      new RangeError("the previous placement has 1 partitions, not 4: their number is fixed"),
    );
  });
});

test("a placement depends on names, not on their order", () => {
  const nodes = nameSets[0]!;
  const placement = placePartitions({ partitions: PARTITIONS, nodes });
  expect(placePartitions({ partitions: PARTITIONS, nodes: [...nodes].reverse() })).toEqual(placement);
  expect(heads(placePartitions({ partitions: PARTITIONS, nodes: nameSets[1]! }))).not.toEqual(heads(placement));
});

test("no node has more than ⌈P / n⌉ partitions, over 100 sets of names", () => {
  for (const names of nameSets) {
    for (let n = 1; n <= names.length; n++) {
      const loads = loadsOf(placePartitions({ partitions: PARTITIONS, nodes: names.slice(0, n) }));
      expect(Math.max(...loads.values())).toBeLessThanOrEqual(Math.ceil(PARTITIONS / n));
      expect(loads.size).toBe(n);
    }
  }
});

describe.each([64, 256, 1024])("of %i partitions, over 100 sets of names", (partitions) => {
  test("each join moves at most 1.25 / (n + 1) of them, all to the joiner, and loads stay bounded", () => {
    for (const names of nameSets) {
      let placement = placePartitions({ partitions, nodes: names.slice(0, 1) });
      for (let n = 1; n < names.length; n++) {
        const nodes = names.slice(0, n + 1);
        const next = placePartitions({ partitions, nodes, previous: placement });
        const moved = heads(next).filter((node, partition) => node !== placement[partition]![0]);
        expect(moved.every((node) => node === names[n])).toBe(true);
        expect(moved.length).toBeLessThanOrEqual((1.25 * partitions) / (n + 1));
        expect(moved.length).toBeGreaterThanOrEqual((0.8 * partitions) / (n + 1));
        expect(Math.max(...loadsOf(next).values())).toBeLessThanOrEqual(Math.ceil(partitions / (n + 1)));
        placement = next;
      }
    }
  });

  test("each leave moves just what the leaver had, and loads stay bounded", () => {
    for (const names of nameSets) {
      let placement = placePartitions({ partitions, nodes: names });
      for (let n = names.length - 1; n >= 1; n--) {
        const leaver = names[n]!;
        const next = placePartitions({ partitions, nodes: names.slice(0, n), previous: placement });
        for (const [partition, [node]] of next.entries()) {
          const before = placement[partition]![0];
          if (before !== leaver && before !== node)
            throw new Error(`partition ${partition} moved from ${before} to ${node}`);
        }
        expect(Math.max(...loadsOf(next).values())).toBeLessThanOrEqual(Math.ceil(partitions / n));
        placement = next;
      }
    }
  });
});

test("what a leaver had is spread over all who stay", () => {
  const nodes = ["a", "b", "c", "d", "e"];
  const before = placePartitions({ partitions: PARTITIONS, nodes });
  const after = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "c", "d"], previous: before });
  const gained = new Set(heads(after).filter((_, partition) => before[partition]![0] === "e"));
  expect([...gained].sort()).toEqual(["a", "b", "c", "d"]);
});

test("the same nodes again move nothing", () => {
  for (const names of nameSets.slice(0, 10)) {
    const nodes = names.slice(0, 5);
    const placement = placePartitions({ partitions: PARTITIONS, nodes, replicas: 2 });
    expect(placePartitions({ partitions: PARTITIONS, nodes, replicas: 2, previous: placement })).toEqual(placement);
  }
});

test("nodes may join and leave at once", () => {
  const before = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "c", "d"] });
  const after = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "x", "y", "z"], previous: before });
  expect(Math.max(...loadsOf(after).values())).toBeLessThanOrEqual(Math.ceil(PARTITIONS / 5));
  for (const [partition, [node]] of after.entries()) {
    const [was] = before[partition]!;
    if (was === "a" || was === "b") expect(["x", "y", "z", was]).toContain(node);
  }
});

describe("chains", () => {
  test("are of different nodes, as many as there are at most, each place balanced", () => {
    for (const names of nameSets) {
      const nodes = names.slice(0, 5);
      const placement = placePartitions({ partitions: PARTITIONS, nodes, replicas: 3 });
      for (const chain of placement) expect(new Set(chain).size).toBe(3);
      expect(Math.max(...loadsOf(placement, 0).values())).toBeLessThanOrEqual(Math.ceil(PARTITIONS / 5));
      for (const place of [1, 2])
        expect(Math.max(...loadsOf(placement, place).values())).toBeLessThanOrEqual(1.25 * (PARTITIONS / 5));
    }
    for (const chain of placePartitions({ partitions: 16, nodes: ["a", "b"], replicas: 3 }))
      expect([...chain].sort()).toEqual(["a", "b"]);
  });

  test("of a lost head go on with the next replica, and only lost places are filled", () => {
    const before = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "c", "d"], replicas: 2 });
    const after = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "c"], replicas: 2, previous: before });
    for (const [partition, chain] of after.entries()) {
      const survivors = before[partition]!.filter((node) => node !== "d");
      expect(chain.slice(0, survivors.length)).toEqual(survivors);
      expect(new Set(chain).size).toBe(2);
    }
  });

  test("that are too short gain the joiner, as the head of its share of them", () => {
    const alone = placePartitions({ partitions: PARTITIONS, nodes: ["a"], replicas: 3 });
    const two = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b"], replicas: 3, previous: alone });
    const three = placePartitions({ partitions: PARTITIONS, nodes: ["a", "b", "c"], replicas: 3, previous: two });
    for (const placement of [two, three]) {
      const loads = loadsOf(placement);
      expect(Math.max(...loads.values()) - Math.min(...loads.values())).toBeLessThanOrEqual(1);
    }
    for (const [partition, chain] of three.entries()) {
      expect([...chain].sort()).toEqual(["a", "b", "c"]);
      expect(chain.filter((node) => node !== "c")).toEqual(two[partition]);
    }
  });

  test.each([2, 3])("of %i gain the joiner only, its share in each place, over 100 sets of names", (replicas) => {
    for (const names of nameSets) {
      let before = placePartitions({ partitions: PARTITIONS, nodes: names.slice(0, replicas), replicas });
      for (let n = replicas; n < names.length; n++) {
        const after = placePartitions({
          partitions: PARTITIONS,
          nodes: names.slice(0, n + 1),
          replicas,
          previous: before,
        });
        for (let place = 0; place < replicas; place++) {
          const changed = after.filter((chain, partition) => chain[place] !== before[partition]![place]);
          expect(new Set(changed.map((chain) => chain[place]))).toEqual(new Set([names[n]]));
          expect(changed.length).toBeLessThanOrEqual((1.25 * PARTITIONS) / (n + 1));
          expect(changed.length).toBeGreaterThanOrEqual((0.8 * PARTITIONS) / (n + 1));
        }
        for (const chain of after) expect(new Set(chain).size).toBe(replicas);
        before = after;
      }
    }
  });
});

describe("nodes that are lost together", () => {
  /** Nodes of some machines: "b3" is the third one of machine b. */
  function nodesOf(perMachine: Record<string, number>): { nodes: string[]; sites: Map<string, Site> } {
    const nodes = Object.entries(perMachine).flatMap(([machine, n]) =>
      Array.from({ length: n }, (_, i) => `${machine}${i + 1}`),
    );
    return { nodes, sites: new Map(nodes.map((name) => [name, siteOf(`ws://${name[0]}:7000/${name.slice(1)}`)])) };
  }

  /** Chains that have two nodes on one machine. */
  function crowded(placement: Placement): number {
    return placement.filter((chain) => new Set(chain.map((name) => name[0])).size < chain.length).length;
  }

  function most(placement: Placement, place: number): number {
    return Math.max(...loadsOf(placement, place).values());
  }

  test.each([
    [{ a: 2, b: 2 }, 2],
    [{ a: 4, b: 4 }, 2],
    [{ a: 2, b: 2, c: 2 }, 3],
    [{ a: 3, b: 2, c: 2, d: 1 }, 2],
  ])("are not in one chain, at once or as they join: %o, %i replicas", (perMachine, replicas) => {
    const { nodes, sites } = nodesOf(perMachine);
    const share = Math.ceil(PARTITIONS / nodes.length);
    let joined: Placement | undefined;
    for (let n = 1; n <= nodes.length; n++) {
      const previous = joined ? { previous: joined } : {};
      joined = placePartitions({ partitions: PARTITIONS, nodes: nodes.slice(0, n), replicas, sites, ...previous });
    }
    for (const placement of [joined!, placePartitions({ partitions: PARTITIONS, nodes, replicas, sites })]) {
      expect(crowded(placement)).toBe(0);
      expect(most(placement, 0)).toBeLessThanOrEqual(share);
      for (let place = 1; place < replicas; place++)
        expect(most(placement, place)).toBeLessThanOrEqual(Math.ceil(1.25 * share));
      expect(placePartitions({ partitions: PARTITIONS, nodes, replicas, sites, previous: placement })).toEqual(
        placement,
      );
    }
  });

  test("on the only machine are balanced as ever, and behind different ports where they can be", () => {
    const nodes = ["a1", "a2", "b1", "b2"];
    const sites = new Map(nodes.map((name) => [name, siteOf(`ws://127.0.0.1:${name[0] === "a" ? 1 : 2}/${name[1]}`)]));
    const placement = placePartitions({ partitions: PARTITIONS, nodes, replicas: 2, sites });
    for (const place of [0, 1]) expect(most(placement, place)).toBe(PARTITIONS / 4);
    expect(crowded(placement)).toBe(0); // here a letter is a port
  });

  test("may be in one chain where another machine has no room", () => {
    const { nodes, sites } = nodesOf({ a: 7, b: 1 });
    const placement = placePartitions({ partitions: PARTITIONS, nodes, replicas: 2, sites });
    expect(crowded(placement)).toBeGreaterThan(0);
    expect(crowded(placement)).toBeLessThan(PARTITIONS - 1.8 * (PARTITIONS / 8));
    for (const place of [0, 1]) expect(most(placement, place)).toBeLessThanOrEqual(1.25 * (PARTITIONS / 8));
  });

  test("have the same machine in their addresses, and the same port where they are behind one", () => {
    expect(siteOf("ws://ps.example:7000/1")).toEqual({ machine: "ps.example", port: "7000" });
    expect(siteOf("ws://[::1]:7000")).toEqual({ machine: "[::1]", port: "7000" });
    expect(siteOf("sim://ps-1").machine).not.toBe(siteOf("sim://ps-2").machine);
    expect(siteOf("nowhere")).toEqual({ machine: "nowhere", port: "" });
  });
});
