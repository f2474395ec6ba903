/** Tables four times larger than their memory: steps, pushes and pulls of keys that are mostly on disk. */
import { expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { adagrad, adam } from "../optimizer/index.ts";
import { ClusterError } from "../errors.ts";
import { MemoryColdStore, type OpenColdStore } from "../table/cold-store.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import { Partition } from "./partition.ts";
import { segmentOf, weightsOf, type TablePart } from "./test-segment.ts";

const DIM = 16;
const USERS = 1200;
const ITEMS = 300;
const BATCH = 40;
const SLOTS = 2;
const STEPS = 150;
/** A quarter of what the tables' rows take, some 160 bytes each. */
const BYTES_MAX = 60_000;

const initializer = { kind: "uniform", min: -0.1, max: 0.1 } as const;
const TABLES: readonly TableSpec[] = [
  { id: 1, name: "users", dim: DIM, initializer, optimizer: adagrad({ learningRate: 0.1 }) },
  { id: 2, name: "items", dim: DIM, initializer, optimizer: adam({ learningRate: 0.01 }) },
];

function openPartition(share: MemoryShare): Partition {
  const mode = consistencyOf(bsp());
  const partition = new Partition({ partition: 0, partitions: 1, seed: 3, tables: TABLES, mode, share });
  partition.start({ step: 1, attempt: 1, slots: SLOTS, term: 1 });
  return partition;
}

function spillingShare(open: OpenColdStore = (recordBytes) => new MemoryColdStore(recordBytes)): MemoryShare {
  return { ...testShare(), bytesMax: BYTES_MAX, cold: { open, rows: 0, bytes: 0, rowsSpilled: 0 } };
}

/** Keys of a power law, ascending, with gradients that tell step, slot and place. */
function partOf(table: number, keysMax: number, random: () => number): TablePart {
  const keys = [...new Set(Array.from({ length: BATCH }, () => Math.floor(keysMax * random() ** 2)))];
  keys.sort((a, b) => a - b);
  return { table, keys, values: Array.from({ length: keys.length * DIM }, () => random() - 0.5) };
}

function train(partition: Partition): void {
  const random = seededRandom(11);
  for (let step = 1; step <= STEPS; step++) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const next = () => random.next();
      const segment = segmentOf(partOf(1, USERS, next), partOf(2, ITEMS, next));
      partition.receive({ step, attempt: 1, slot, segment });
    }
    expect(partition.commit({ step, attempt: 1, term: 1 })).toBe("committed");
  }
}

/** Every row of a table, by key. */
function rowsOf(partition: Partition, table: number): Map<number, unknown> {
  const rows = new Map<number, unknown>();
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const part = partition.export({ table, cursor, rowsMax: 100 });
    const width = part.states.length / part.updates.length;
    for (let i = 0; i < part.updates.length; i++) {
      const weights = part.weights.slice(i * DIM, (i + 1) * DIM);
      const state = part.states.slice(i * width, (i + 1) * width);
      rows.set(part.keys[2 * i]!, [weights, state, part.updates[i], part.lastSteps[i]]);
    }
    cursor = part.next;
  }
  return rows;
}

test("a table four times its memory trains to the same bits as one that stays in memory", () => {
  const share = spillingShare();
  const small = openPartition(share);
  const large = openPartition(testShare());
  train(small);
  train(large);
  expect(share.cold!.rows).toBeGreaterThan(0.6 * large.rowCount());
  expect(small.rowCount()).toBe(large.rowCount());
  for (const { id } of TABLES) expect(rowsOf(small, id)).toEqual(rowsOf(large, id));
  const all = segmentOf({ table: 1, keys: Array.from({ length: USERS }, (_, i) => i), values: [] });
  expect(weightsOf(small, all)).toEqual(weightsOf(large, all));
  small.dispose();
  large.dispose();
  expect(share).toMatchObject({ bytes: 0, pledged: 0, cold: { rows: 0, bytes: 0 } });
});

/** Stores whose reads are counted, and fail while the disk is broken. */
class Disk {
  broken = false;
  reads = 0;

  readonly open: OpenColdStore = (recordBytes) => {
    const store = new MemoryColdStore(recordBytes);
    const read = store.read.bind(store);
    store.read = (places, n, into, at) => {
      if (n > 0) this.reads++;
      if (this.broken) throw new ClusterError("PARTITION_UNAVAILABLE", "the disk fails");
      read(places, n, into, at);
    };
    return store;
  };
}

/** The keys that are spilled first, after `train`. */
const OLD = segmentOf({
  table: 1,
  keys: Array.from({ length: BATCH }, (_, i) => USERS - BATCH + i),
  values: Array.from({ length: BATCH * DIM }, () => 0.25),
});

test("a disk that fails refuses the push that closes a step, which may come again; its commit reads nothing", () => {
  const disk = new Disk();
  const [small, large] = [openPartition(spillingShare(disk.open)), openPartition(testShare())];
  for (const partition of [small, large]) {
    train(partition);
    partition.receive({ step: STEPS + 1, attempt: 1, slot: 0, segment: OLD });
  }
  const last = { step: STEPS + 1, attempt: 1, slot: 1, segment: null };
  disk.broken = true;
  disk.reads = 0;
  expect(() => small.receive(last)).toThrow("the disk fails");
  expect(disk.reads).toBeGreaterThan(0);
  expect(small.staged).toBe(false);
  disk.broken = false;
  expect([small, large].map((partition) => partition.receive(last))).toEqual(["staged", "staged"]);
  disk.broken = true;
  for (const partition of [small, large]) partition.commit({ step: STEPS + 1, attempt: 1, term: 1 });
  disk.broken = false;
  for (const { id } of TABLES) expect(rowsOf(small, id)).toEqual(rowsOf(large, id));
  for (const partition of [small, large]) partition.dispose();
});

test("a disk that fails refuses a direct push and a set before anything is applied", () => {
  const disk = new Disk();
  const partition = openPartition(spillingShare(disk.open));
  train(partition);
  const before = rowsOf(partition, 1);
  disk.broken = true;
  expect(() => partition.check(OLD)).toThrow("the disk fails");
  disk.broken = false;
  expect(rowsOf(partition, 1)).toEqual(before);
  partition.check(OLD);
  disk.broken = true;
  partition.set(OLD);
  expect(partition.pushDirect({ client: 1, sequence: 1, settled: 0 }, OLD)).toBe("applied");
  partition.dispose();
});

test("memory stays within its limit while rows go to disk", () => {
  const share = spillingShare();
  const partition = openPartition(share);
  train(partition);
  expect(share.bytes).toBeLessThan(1.1 * BYTES_MAX);
  partition.dispose();
});

test("a table that comes when another one has taken all memory finds room", () => {
  const share = spillingShare();
  const partition = openPartition(share);
  const values = Array.from({ length: 100 * DIM }, () => 0.5);
  for (let sequence = 1; sequence <= 10; sequence++) {
    const keys = Array.from({ length: 100 }, (_, i) => 100 * sequence + i);
    const segment = segmentOf({ table: 1, keys, values });
    partition.check(segment);
    partition.pushDirect({ client: 1, sequence, settled: sequence - 1 }, segment);
  }
  const late = segmentOf({ table: 2, keys: Array.from({ length: 100 }, (_, i) => i), values });
  partition.check(late);
  partition.pushDirect({ client: 1, sequence: 11, settled: 10 }, late);
  expect(partition.rowCount(2)).toBe(100);
  expect(partition.rowCount(1)).toBe(1000);
  expect(share.bytes).toBeLessThan(1.1 * BYTES_MAX);
  partition.dispose();
});
