import type { ClusterStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import { heldBy } from "./drain.ts";

const node = { node: 1, name: "ps-1", address: "ws://127.0.0.1:1", alive: true, rows: 0, bytes: 0 };
const statusOf = (nodes: ClusterStatus["nodes"]): ClusterStatus => ({
  nodes,
  workers: [],
  jobs: [],
  mapVersion: 1,
  chains: { whole: 0, short: 0, moving: 0 },
  failovers: 0,
  moves: 0,
  overrides: 0,
});

test("heldBy() counts the partitions a node is the head of and its other copies", () => {
  expect(heldBy(statusOf([{ ...node, draining: true, partitions: 3, replicas: 4 }]), "ps-1")).toBe(7);
});

test("heldBy() says that a node was started again: it is filled, not emptied", () => {
  const status = statusOf([{ ...node, partitions: 3, replicas: 4 }]);
  expect(() => heldBy(status, "ps-1")).toThrow(/^PS node ps-1 was started again, and takes partitions again; /);
});

test("heldBy() says that a node has left: its drain cannot end", () => {
  const status = statusOf([{ ...node, partitions: 0, replicas: 0 }]);
  expect(() => heldBy(status, "ps-2")).toThrow(/^PS node ps-2 left the cluster before it was drained; /);
});
