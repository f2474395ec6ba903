/** Memory that others take between a step's staging and its commit: what was acknowledged is applied all the same. */
import { expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { ClusterError } from "../errors.ts";
import { sgd } from "../optimizer/index.ts";
import type { Arena } from "../table/arena.ts";
import { TableMemory, type MemoryShare } from "../table/table-memory.ts";
import { Partition } from "./partition.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

const DIM = 64;
const KEYS = Array.from({ length: 500 }, (_, i) => 3 * i);
const SEGMENT = segmentOf({ table: 1, keys: KEYS, values: Array.from({ length: KEYS.length * DIM }, () => 1) });
const TABLE = {
  id: 1,
  name: "t",
  dim: DIM,
  initializer: { kind: "zeros" },
  optimizer: sgd({ learningRate: 1 }),
} as const;

function open(share: MemoryShare, slots = 1): Partition {
  const mode = consistencyOf(bsp());
  const partition = new Partition({
    partition: 0,
    partitions: 1,

    seed: 3,
    tables: [TABLE],
    mode,
    share,
  });
  partition.start({ step: 1, attempt: 1, slots, term: 1 });
  return partition;
}

function smallShare(): MemoryShare {
  return new TableMemory({ arenaBytes: 2 ** 21 }).shareOf(0, { partitions: 1, places: 1 });
}

/** Takes all that is free, as replies that nobody reads would. */
function takeAll(arena: Arena): () => void {
  const taken: { at: number; bytes: number }[] = [];
  for (let bytes = 2 ** 20; bytes >= 32; bytes /= 2) {
    for (let at = arena.hold(bytes); at !== 0; at = arena.hold(bytes)) taken.push({ at, bytes });
  }
  return () => {
    for (const { at, bytes } of taken) arena.free(at, bytes);
  };
}

test("a step that is staged has the memory for its new rows, whatever is taken until its commit", () => {
  const share = smallShare();
  const partition = open(share);
  expect(partition.receive({ step: 1, attempt: 1, slot: 0, segment: SEGMENT })).toBe("staged");
  const giveBack = takeAll(share.arena);
  expect(partition.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
  giveBack();
  expect(partition.rowCount()).toBe(KEYS.length);
  expect(new Set(weightsOf(partition, SEGMENT))).toEqual(new Set([-1]));
  partition.dispose();
});

test("where memory is taken already, a step is refused before it is staged, and may come again", () => {
  const share = smallShare();
  const partition = open(share, 2);
  partition.receive({ step: 1, attempt: 1, slot: 0, segment: SEGMENT });
  const giveBack = takeAll(share.arena);
  const last = { step: 1, attempt: 1, slot: 1, segment: null };
  expect(() => partition.receive(last)).toThrow(ClusterError);
  expect([partition.staged, share.pledged]).toEqual([false, 0]);
  giveBack();
  expect(partition.receive(last)).toBe("staged");
  partition.dispose();
});

test("a job whose rows have no room is told how much other jobs have", () => {
  const share = { ...smallShare(), bytesMax: 100_000 };
  const [first, second] = [open(share), open(share)];
  const some = (n: number) =>
    segmentOf({ table: 1, keys: KEYS.slice(0, n), values: Array.from({ length: n * DIM }, () => 1) });
  first.check(some(300));
  first.pushDirect({ client: 1, sequence: 1, settled: 0 }, some(300));
  expect(() => second.check(some(300))).toThrow(
    new RegExp(
      `no room for 300 new rows of table "t" in partition 0: its rows take 0, those of other jobs ${share.bytes}, of 100000 bytes`,
    ),
  );
  second.check(some(20));
  for (const partition of [first, second]) partition.dispose();
});

test("where there is no memory to sum the slots of a step in, its last push is refused, and may come again", () => {
  const share = smallShare();
  const { arena } = share;
  const partition = open(share, 2);
  const few = segmentOf({ table: 1, keys: [1, 2], values: Array.from({ length: 2 * DIM }, () => 1) });
  const used = arena.bytesUsed;
  partition.receive({ step: 1, attempt: 1, slot: 0, segment: few });
  const slotBytes = arena.bytesUsed - used;
  const room = arena.hold(slotBytes);
  const giveBack = takeAll(arena);
  arena.free(room, slotBytes); // enough for the copy of the second slot
  const last = { step: 1, attempt: 1, slot: 1, segment: few };
  expect(() => partition.receive(last)).toThrow(ClusterError);
  expect([partition.staged, arena.hold(32)]).toEqual([false, 0]); // that copy is there
  giveBack();
  expect(partition.receive(last)).toBe("staged");
  expect(partition.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
  expect(new Set(weightsOf(partition, few))).toEqual(new Set([-2]));
  partition.dispose();
});
