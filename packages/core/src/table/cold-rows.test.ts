import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClusterError } from "../errors.ts";
import { slotHash } from "../hash.ts";
import { ColdRows, type RowSpace } from "./cold-rows.ts";
import { MemoryColdStore } from "./cold-store.ts";

const RECORD_WORDS = 6;
const RECORD_BYTES = 4 * RECORD_WORDS;

/** Keys from address 0 on, numbers of keys behind them, and records behind those. */
const ROWS_MAX = 1000;
const WANTED = 8 * ROWS_MAX;
const RECORDS = 12 * ROWS_MAX;

type Key = readonly [number, number];

function coldRows(store = new MemoryColdStore(RECORD_BYTES)): { cold: ColdRows; space: RowSpace } {
  const words = new Uint32Array((3 + RECORD_WORDS) * ROWS_MAX);
  const space = { words, bytes: new Uint8Array(words.buffer) };
  return { cold: new ColdRows(store, space), space };
}

/** A record of a key: the rest of its words follow from `version`. */
function writeRecord({ words }: RowSpace, record: number, [lo, hi]: Key, version: number): void {
  const at = RECORDS / 4 + record * RECORD_WORDS;
  words.set([lo, hi], at);
  for (let w = 2; w < RECORD_WORDS; w++) words[at + w] = version * 8 + w;
}

function readRecord({ words }: RowSpace, record: number): { key: Key; version: number } {
  const at = RECORDS / 4 + record * RECORD_WORDS;
  const first = words[at + 2]!;
  const rest = Array.from({ length: RECORD_WORDS - 2 }, (_, i) => first + i);
  expect([...words.subarray(at + 2, at + RECORD_WORDS)]).toEqual(rest);
  return { key: [words[at]!, words[at + 1]!], version: (first - 2) / 8 };
}

function put({ cold, space }: ReturnType<typeof coldRows>, rows: readonly (readonly [Key, number])[]): void {
  rows.forEach(([key, version], i) => writeRecord(space, i, key, version));
  const addresses = Uint32Array.from(rows, (_, i) => RECORDS + i * RECORD_BYTES);
  cold.put(addresses, rows.length);
}

/** What a look-up finds: from the key's number to its version. */
function look(
  { cold, space }: ReturnType<typeof coldRows>,
  how: "read" | "take",
  keys: readonly Key[],
): Map<number, number> {
  space.words.set(keys.flat());
  space.words.set([...keys.keys()], WANTED / 4);
  const n = cold[how](0, WANTED, keys.length, RECORDS);
  const wanted = [...space.words.subarray(WANTED / 4, WANTED / 4 + keys.length)];
  expect(wanted.toSorted((a, b) => a - b)).toEqual([...keys.keys()]);
  const found = new Map<number, number>();
  for (let i = 0; i < n; i++) {
    const { key, version } = readRecord(space, i);
    expect(key).toEqual(keys[wanted[i]!]);
    found.set(wanted[i]!, version);
  }
  return found;
}

/** Two different keys with one hash: among 200,000 random ones there are about five such pairs. */
function collidingKeys(): [Key, Key] {
  const byHash = new Map<number, [number, number]>();
  for (let i = 0; ; i++) {
    const key: [number, number] = [Math.imul(i, 0x9e3779b1) >>> 0, i];
    const hash = slotHash(...key);
    const other = byHash.get(hash);
    if (other) return [other, key];
    byHash.set(hash, key);
  }
}

describe("ColdRows", () => {
  it("a full disk leaves it as it was, and its places are used again", () => {
    const store = new MemoryColdStore(RECORD_BYTES);
    const rows = coldRows(store);
    put(rows, [[[1, 0], 7]]);
    const write = store.write.bind(store);
    store.write = () => {
      throw new ClusterError("LIMIT_EXCEEDED", "the disk is full");
    };
    expect(() => put(rows, [[[2, 0], 8]])).toThrow("the disk is full");
    store.write = write;
    expect(rows.cold.count).toBe(1);
    expect(
      look(rows, "read", [
        [1, 0],
        [2, 0],
      ]),
    ).toEqual(new Map([[0, 7]]));
    put(rows, [[[3, 0], 9]]);
    expect(rows.cold.storedBytes()).toBe(2 * RECORD_BYTES);
  });

  it("a disk that fails while rows are taken leaves all of them there", () => {
    const store = new MemoryColdStore(RECORD_BYTES);
    const rows = coldRows(store);
    put(rows, [
      [[1, 0], 7],
      [[2, 0], 8],
    ]);
    const read = store.read.bind(store);
    store.read = () => {
      throw new ClusterError("PARTITION_UNAVAILABLE", "the disk fails");
    };
    expect(() => look(rows, "take", [[1, 0]])).toThrow("the disk fails");
    store.read = read;
    expect(
      look(rows, "read", [
        [1, 0],
        [2, 0],
      ]),
    ).toEqual(
      new Map([
        [0, 7],
        [1, 8],
      ]),
    );
  });

  it("reading changes nothing; taking removes", () => {
    const rows = coldRows();
    put(rows, [
      [[5, 1], 1],
      [[6, 1], 2],
    ]);
    for (let i = 0; i < 2; i++)
      expect(
        look(rows, "read", [
          [9, 9],
          [6, 1],
        ]),
      ).toEqual(new Map([[1, 2]]));
    expect(
      look(rows, "take", [
        [6, 1],
        [9, 9],
      ]),
    ).toEqual(new Map([[0, 2]]));
    expect(
      look(rows, "read", [
        [5, 1],
        [6, 1],
      ]),
    ).toEqual(new Map([[0, 1]]));
    expect(rows.cold.count).toBe(1);
  });

  it("tells keys of one hash apart by what lies on disk", () => {
    const [a, b] = collidingKeys();
    const rows = coldRows();
    put(rows, [
      [a, 1],
      [[77, 7], 3],
    ]);
    expect(look(rows, "read", [b, [77, 7]])).toEqual(new Map([[1, 3]]));
    put(rows, [[b, 2]]);
    expect(look(rows, "read", [b, a])).toEqual(
      new Map([
        [0, 2],
        [1, 1],
      ]),
    );
    expect(look(rows, "take", [b])).toEqual(new Map([[0, 2]]));
    expect(look(rows, "read", [b, a])).toEqual(new Map([[1, 1]]));
  });

  it("scans every row once, in several calls", () => {
    const rows = coldRows();
    put(
      rows,
      Array.from({ length: 100 }, (_, i) => [[i, 0], i] as const),
    );
    look(rows, "take", [
      [0, 0],
      [40, 0],
      [99, 0],
    ]);
    const versions: number[] = [];
    for (let cursor: number | undefined = 0; cursor !== undefined;) {
      const { n, next } = rows.cold.scan(cursor, 30, RECORDS);
      for (let i = 0; i < n; i++) versions.push(readRecord(rows.space, i).version);
      cursor = next;
    }
    expect(versions).toEqual(Array.from({ length: 100 }, (_, i) => i).filter((i) => ![0, 40, 99].includes(i)));
  });

  it("agrees with a map of keys over any puts, takes and reads", () => {
    const key = fc.tuple(fc.nat(60), fc.nat(1));
    const keys = fc.uniqueArray(key, { maxLength: 40, selector: ([lo, hi]) => `${lo} ${hi}` });
    const command = fc.record({ what: fc.constantFrom("put" as const, "take" as const, "read" as const), keys });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const rows = coldRows();
        const model = new Map<string, number>();
        for (const [version, { what, keys: some }] of commands.entries()) {
          if (what === "put") {
            const absent = some.filter((k) => !model.has(String(k)));
            put(
              rows,
              absent.map((k) => [k, version] as const),
            );
            for (const k of absent) model.set(String(k), version);
          } else {
            const expected = new Map<number, number>();
            some.forEach((k, i) => model.has(String(k)) && expected.set(i, model.get(String(k))!));
            expect(look(rows, what, some)).toEqual(expected);
            if (what === "take") for (const k of some) model.delete(String(k));
          }
          expect(rows.cold.count).toBe(model.size);
        }
      }),
    );
  });

  it("a long life in many rows needs 11 to 22 bytes of memory a row, and no more places than there were rows at once", () => {
    const rows = coldRows();
    const BATCH = 500;
    const present: number[] = [];
    let next = 0;
    for (let round = 0; round < 60; round++) {
      put(
        rows,
        Array.from({ length: BATCH }, (_, i) => [[next + i, 3], next + i] as const),
      );
      for (let i = 0; i < BATCH; i++) present.push(next++);
      if (round < 20) continue;
      const leaving = present.splice((round * 7919) % (present.length - BATCH), BATCH);
      const found = look(
        rows,
        "take",
        leaving.map((lo) => [lo, 3] as const),
      );
      expect([...found.values()].toSorted((a, b) => a - b)).toEqual(leaving);
    }
    expect(rows.cold.count).toBe(20 * BATCH);
    expect(rows.cold.storedBytes()).toBeLessThanOrEqual(21 * BATCH * RECORD_BYTES);
    expect(rows.cold.bytes() / rows.cold.count).toBeGreaterThan(10);
    expect(rows.cold.bytes() / rows.cold.count).toBeLessThan(22);
  });
});
