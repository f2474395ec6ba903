import { expect, test } from "vitest";
import type { PartitionEntry, PartitionMap } from "../partition/index.ts";
import { SimulatedClock } from "../testing/index.ts";
import type { Link } from "../wire/index.ts";
import type { TableLinks } from "./node-links.ts";
import { PartitionRequests } from "./partition-requests.ts";
import { Requests } from "./requests.ts";

const FIRST: PartitionMap = {
  version: 1,
  heads: 1,
  partitionsLog2: 1,
  function: { kind: "hash" },
  nodes: [1, 2].map((node) => ({ node, name: `ps-${node}`, address: `ws://ps-${node}:1` })),
  entries: [1, 1].map((head) => ({ generation: 1, headSince: 1, chain: [head, 2] })),
};

/** Links of which none ever is up; notes who was asked for. */
class NoLinks implements TableLinks {
  map = FIRST;
  readonly asked: number[] = [];
  readonly #listeners = new Set<(map: PartitionMap) => void>();

  onMap(listener: (map: PartitionMap) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  requestMap(): void {}

  get(): undefined {
    return undefined;
  }

  up(node: number): Promise<Link> {
    this.asked.push(node);
    return new Promise(() => {});
  }

  /** A newer map, in which this entry of partition 1 is another. */
  publish(entry: Partial<PartitionEntry>, { heads = this.map.heads }: { heads?: number } = {}): void {
    const [first, second] = this.map.entries;
    this.map = { ...this.map, version: this.map.version + 1, heads, entries: [first!, { ...second!, ...entry }] };
    for (const listener of this.#listeners) listener(this.map);
  }
}

/** Lets what waits go on, without time passing. */
const settled = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 0));

test("what waits for its head is sent again by the map that names another, and by none that does not", async () => {
  const links = new NoLinks();
  const partitions = new PartitionRequests({ job: 1, links, requests: new Requests(), clock: new SimulatedClock() });
  const part = {
    order: Uint32Array.of(0),
    partitions: Uint32Array.of(1),
    counts: Uint32Array.of(1),
    keys: Uint32Array.of(7, 0),
  };
  void partitions.deliver({ part, frameOf: () => ({ opcode: "pull" }) });
  await settled();
  for (let generation = 2; generation < 50; generation++) links.publish({ generation, next: [1, 2, generation] });
  await settled();
  expect(links.asked).toEqual([1]);
  links.publish({ generation: 50, headSince: 50, chain: [2] }, { heads: links.map.version + 1 });
  await settled();
  expect(links.asked).toEqual([1, 2]);
});
