import { expect, test } from "vitest";
import { ClusterError } from "../errors.ts";
import { TableMemory } from "./table-memory.ts";

const MB = 2 ** 20;

test("a memory that is full says so, and what was given back can be taken again", () => {
  const { arena } = new TableMemory({ arenaBytes: 4 * MB }).shareOf(0, { place: 0, places: 1 });
  const at = arena.allocate(3 * MB);
  expect(() => arena.allocate(2 * MB)).toThrow(ClusterError);
  expect(() => arena.allocate(2 * MB)).toThrow(/^no 2097152 bytes in a row are left of a memory of 4194304 bytes/);
  arena.free(at, 3 * MB);
  expect(arena.allocate(2 * MB)).toBe(at);
});

test("partitions share memories evenly, neighbours the same one, each with an equal part of the limit", () => {
  const memory = new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB });
  const shares = Array.from({ length: 6 }, (_, place) => memory.shareOf(10 + place, { place, places: 6 }));
  expect(shares.map(({ arena }) => shares.findIndex((other) => other.arena === arena))).toEqual([0, 0, 2, 2, 4, 4]);
  expect(new Set(shares.map(({ bytesMax }) => bytesMax))).toEqual(new Set([Math.floor((8 * MB) / 6)]));
  expect(memory.first).toBe(shares[0]!.arena);
  expect(memory.shareOf(12, { place: 2, places: 6 })).toBe(shares[2]);
});

test("no memory is given more shares than it has room for", () => {
  const memory = new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB });
  const shares = Array.from({ length: 4 }, (_, place) => memory.shareOf(place, { place, places: 4 }));
  for (const { arena } of shares) {
    const there = shares.filter((share) => share.arena === arena);
    expect(there.reduce((sum, { bytesMax }) => sum + bytesMax, 0)).toBeLessThanOrEqual((7 / 8) * 4 * MB);
  }
  expect(new TableMemory({ bytesMax: 8 * MB, arenaBytes: 4 * MB }).shareOf(0, { place: 0, places: 1 }).bytesMax).toBe(
    3.5 * MB,
  );
});

test("shares grow when the node has fewer partitions than before, and stay in their memory while they have rows", () => {
  const memory = new TableMemory({ bytesMax: 6 * MB, arenaBytes: 4 * MB });
  const [first, last] = [0, 7].map((place) => memory.shareOf(place, { place, places: 8 }));
  expect(first!.bytesMax).toBe((6 / 8) * MB);
  const { arena } = last!;
  expect(arena).not.toBe(first!.arena);
  last!.bytes = 64;
  expect(memory.shareOf(7, { place: 0, places: 4 })).toBe(last);
  expect(last).toMatchObject({ bytesMax: 1.5 * MB });
  expect(last!.arena).toBe(arena);
  last!.bytes = 0;
  expect(memory.shareOf(7, { place: 0, places: 4 }).arena).toBe(first!.arena);
});

test("scratch space grows as it is asked for more, apart from that of rows", () => {
  const { arena } = new TableMemory({ arenaBytes: 4 * MB }).shareOf(0, { place: 0, places: 1 });
  const used = arena.bytesUsed;
  const small = arena.scratch(100);
  expect(arena.scratch(65_536)).toBe(small);
  expect(arena.rowScratch(100)).not.toBe(small);
  arena.scratch(65_537);
  expect(arena.bytesUsed - used).toBe(65_536 + 131_072);
});
