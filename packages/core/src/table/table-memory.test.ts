import { expect, test } from "vitest";
import { ClusterError } from "../errors.ts";
import { TableMemory, type MemoryShare } from "./table-memory.ts";

const MB = 2 ** 20;

test("a memory that is full says so, and what was given back can be taken again", () => {
  const { arena } = new TableMemory({ arenaBytes: 4 * MB }).shareOf(0, { partitions: 1, places: 1 });
  const at = arena.allocate(3 * MB);
  expect(() => arena.allocate(2 * MB)).toThrow(ClusterError);
  expect(() => arena.allocate(2 * MB)).toThrow(/^no 2097152 bytes in a row are left of a memory of 4194304 bytes/);
  arena.free(at, 3 * MB);
  expect(arena.allocate(2 * MB)).toBe(at);
});

test("partitions share memories evenly, neighbours the same one, each with an equal part of the limit", () => {
  const memory = new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB });
  const shares = Array.from({ length: 6 }, (_, p) => memory.shareOf(p, { partitions: 6, places: 6 }));
  expect(shares.map(({ arena }) => shares.findIndex((other) => other.arena === arena))).toEqual([0, 0, 2, 2, 4, 4]);
  expect(new Set(shares.map(({ bytesMax }) => bytesMax))).toEqual(new Set([Math.floor((8 * MB) / 6)]));
  expect(memory.first).toBe(shares[0]!.arena);
  expect(memory.shareOf(2, { partitions: 6, places: 6 })).toBe(shares[2]);
});

test("no memory is given more shares than it has room for", () => {
  const memory = new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB });
  const shares = Array.from({ length: 4 }, (_, p) => memory.shareOf(p, { partitions: 4, places: 4 }));
  for (const { arena } of shares) {
    const there = shares.filter((share) => share.arena === arena);
    expect(there.reduce((sum, { bytesMax }) => sum + bytesMax, 0)).toBeLessThanOrEqual((7 / 8) * 4 * MB);
  }
  expect(
    new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB }).shareOf(0, { partitions: 1, places: 1 }).bytesMax,
  ).toBe(3.5 * MB);
});

test("a node with few of the partitions gives each more, in the memory it would be in if it had all", () => {
  const all = new TableMemory({ bytesMax: 6 * MB, arenaBytes: 4 * MB });
  const shares = Array.from({ length: 8 }, (_, p) => all.shareOf(p, { partitions: 8, places: 8 }));
  const memory = new TableMemory({ bytesMax: 6 * MB, arenaBytes: 4 * MB });
  const few = [0, 3, 7].map((p) => memory.shareOf(p, { partitions: 8, places: 3 }));
  expect(few.map(({ bytesMax }) => bytesMax)).toEqual([2 * MB, 2 * MB, 2 * MB]);
  const isFirst = (share: MemoryShare, { first }: TableMemory): boolean => share.arena === first;
  expect(few.map((share) => isFirst(share, memory))).toEqual([true, true, false]);
  expect([0, 3, 7].map((p) => isFirst(shares[p]!, all))).toEqual([true, true, false]);
});

test("shares are divided anew when partitions come and go, and stay in their memory with what they have", () => {
  const memory = new TableMemory({ bytesMax: 6 * MB, arenaBytes: 4 * MB });
  const [first, last] = [0, 7].map((p) => memory.shareOf(p, { partitions: 8, places: 8 }));
  expect(first!.bytesMax).toBe((6 / 8) * MB);
  last!.bytes = MB;
  const { arena } = last!;
  memory.divide(2);
  expect([first!.bytesMax, last!.bytesMax]).toEqual([3 * MB, 3 * MB]);
  memory.divide(1);
  expect(last!.bytesMax).toBe(3.5 * MB); // what one memory has for rows
  memory.divide(12);
  expect(last).toMatchObject({ bytes: MB, bytesMax: 0.5 * MB });
  expect(memory.shareOf(7, { partitions: 8, places: 4 })).toBe(last);
  expect(last!.arena).toBe(arena);
});

test("scratch space grows as it is asked for more, apart from that of rows", () => {
  const { arena } = new TableMemory({ arenaBytes: 4 * MB }).shareOf(0, { partitions: 1, places: 1 });
  const used = arena.bytesUsed;
  const small = arena.scratch(100);
  expect(arena.scratch(65_536)).toBe(small);
  expect(arena.rowScratch(100)).not.toBe(small);
  arena.scratch(65_537);
  expect(arena.bytesUsed - used).toBe(65_536 + 131_072);
});
