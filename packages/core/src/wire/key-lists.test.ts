/** Key lists by name: what is sent whole, what by name, and what is forgotten. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { decodeFrame, encodeFrame, frame, type Frame } from "./frame.ts";
import { KeyLists, KeyNames } from "./key-lists.ts";

/** A pull of `n` keys from `first` on, of one partition. */
function pullOf({ n, first = 0, partition = 3 }: { n: number; first?: number; partition?: number }): Frame {
  return frame({
    opcode: "pull",
    tables: Uint32Array.of(1),
    partitions: Uint32Array.of(partition),
    generations: Uint32Array.of(7),
    counts: Uint32Array.of(n),
    keys: Uint32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? first + i / 2 : 0)),
  });
}

/** As a link carries it. */
const sent = (f: Frame): Frame => decodeFrame(encodeFrame(f));
const N = LIMITS.keyListKeysMin;

describe("KeyNames", () => {
  it("sends a list whole with its name, and by its name from then on", () => {
    const names = new KeyNames();
    const first = names.shorten(pullOf({ n: N }));
    expect([first.keyList.length, first.keys.length]).toEqual([16, 2 * N]);
    const push = names.shorten({ ...pullOf({ n: N }), opcode: "push", values: new Float32Array(N) });
    expect(push).toMatchObject({ opcode: "push", keyList: first.keyList, values: new Float32Array(N) });
    expect(
      [push.tables, push.partitions, push.generations, push.counts, push.keys].map(({ length }) => length),
    ).toEqual([0, 0, 0, 0, 0]);
  });

  it("gives no name to short lists, and none to those that nobody would remember", () => {
    const short = pullOf({ n: N - 1 });
    expect(new KeyNames().shorten(short)).toBe(short);
    const long = pullOf({ n: LIMITS.keyListBytesMax / 8 });
    expect(new KeyNames().shorten(long)).toBe(long);
  });

  it("gives no name to a record, whose sequences no list has", () => {
    const names = new KeyNames();
    names.shorten(pullOf({ n: N }));
    const record = frame({ ...pullOf({ n: N }), opcode: "stageRecord", sequences: Uint32Array.of(5) });
    expect(names.shorten(record)).toBe(record);
  });

  it("tells lists apart by every section", () => {
    const names = new KeyNames();
    const lists = [
      pullOf({ n: N }),
      pullOf({ n: N, first: 1 }),
      pullOf({ n: N, partition: 4 }),
      { ...pullOf({ n: N }), tables: Uint32Array.of(2) },
      { ...pullOf({ n: N }), generations: Uint32Array.of(8) },
      { ...pullOf({ n: N }), tables: Uint32Array.of(1, 2), counts: Uint32Array.of(N - 1, 1) },
    ];
    const texts = lists.map((list) => names.shorten(list).keyList.join());
    expect(new Set(texts).size).toBe(lists.length);
  });

  it("names the same arrays anew where one of them is another", () => {
    const names = new KeyNames();
    const list = pullOf({ n: N });
    const name = names.shorten(list).keyList;
    expect(names.shorten({ ...list, generations: Uint32Array.of(9) }).keyList).not.toEqual(name);
    expect(names.shorten(list).keyList).toEqual(name);
  });

  it("sends a list whole again that the other end has forgotten", () => {
    const names = new KeyNames();
    const list = pullOf({ n: N });
    names.shorten(list);
    const named = names.shorten(list);
    names.forget(named.keyList);
    expect(names.shorten(list).keys.length).toBe(2 * N);
  });
});

describe("KeyLists", () => {
  it("gives a name its sections, as copies of what came", () => {
    const lists = new KeyLists();
    const names = new KeyNames();
    const list = pullOf({ n: N });
    const bytes = encodeFrame(names.shorten(list));
    lists.resolve(decodeFrame(bytes));
    bytes.fill(0xdb);
    const found = lists.resolve(sent(names.shorten(list)))!;
    expect([found.tables, found.partitions, found.generations, found.counts, found.keys]).toEqual([
      list.tables,
      list.partitions,
      list.generations,
      list.counts,
      list.keys,
    ]);
  });

  it("knows no name that it was not sent", () => {
    expect(new KeyLists().resolve(frame({ opcode: "push", keyList: new Uint8Array(16) }))).toBeUndefined();
  });

  it("leaves frames without a name as they are", () => {
    const f = frame({ opcode: "pull" });
    expect(new KeyLists().resolve(f)).toBe(f);
  });

  it("refuses a list that is over its bounds, before it copies it", () => {
    const named = { ...pullOf({ n: LIMITS.keyListBytesMax / 8 }), keyList: new Uint8Array(16) };
    expect(() => new KeyLists().resolve(named)).toThrow(ProtocolError);
  });

  it("forgets what was used longest ago, by number and by bytes", () => {
    const byNumber = new KeyLists({ listsMax: 2 });
    const name = (n: number) => Uint8Array.from({ length: 16 }, () => n);
    const give = (lists: KeyLists, n: number, keys: number) =>
      lists.resolve({ ...pullOf({ n: keys, first: n }), keyList: name(n) });
    const knows = (lists: KeyLists, n: number) =>
      lists.resolve(frame({ opcode: "pull", keyList: name(n) })) !== undefined;
    give(byNumber, 1, 1);
    give(byNumber, 2, 1);
    expect(knows(byNumber, 1)).toBe(true);
    give(byNumber, 3, 1);
    expect([1, 2, 3].map((n) => knows(byNumber, n))).toEqual([true, false, true]);
    const byBytes = new KeyLists();
    const third = LIMITS.keyListBytesMax / 24 - 10;
    for (const n of [1, 2, 3, 4]) give(byBytes, n, third);
    expect([1, 2, 3, 4].map((n) => knows(byBytes, n))).toEqual([false, true, true, true]);
  });
});

it("both ends of a link agree, whatever is sent and forgotten", () => {
  const act = fc.record({ list: fc.nat(5), forgets: fc.boolean() });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), fc.integer({ min: 0, max: 4 }), (acts, listsMax) => {
      const names = new KeyNames();
      let lists = new KeyLists({ listsMax });
      for (const { list, forgets } of acts) {
        if (forgets) lists = new KeyLists({ listsMax });
        const whole = pullOf({ n: N, first: list });
        let got = lists.resolve(sent(names.shorten(whole)));
        if (!got) {
          names.forget(names.shorten(whole).keyList);
          got = lists.resolve(sent(names.shorten(whole)));
        }
        expect(got!.keys).toEqual(whole.keys);
      }
    }),
  );
});
