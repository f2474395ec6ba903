/**
 * A partition is copied while its rows are pushed, set, deleted, go to disk and come back. When the copy is whole it is
 * equal, and stays so: as a replica, and as the head.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { adagrad, adam, momentum, sgd } from "../optimizer/index.ts";
import { MemoryColdStore } from "../table/cold-store.ts";
import type { MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import { Partition } from "./partition.ts";
import { allRows, TestChain } from "./test-chain.ts";
import { segmentOf, type TablePart } from "./test-segment.ts";
import type { PartitionCopy } from "./partition-copy.ts";
import type { Segment } from "./segment.ts";
import type { PartitionRole } from "./step-state.ts";

const initializer = { kind: "uniform", min: -1, max: 1 } as const;
const rowsMax = 40;
const TABLES: readonly TableSpec[] = [
  { id: 3, name: "plain", dim: 6, initializer, optimizer: adagrad() },
  { id: 1, name: "bfloat16", dim: 5, dtype: "bfloat16", initializer, optimizer: momentum() },
  { id: 7, name: "int8", dim: 7, dtype: "int8", initializer, optimizer: adam() },
  {
    id: 8,
    name: "admits",
    dim: 2,
    initializer,
    optimizer: sgd(),
    admission: { kind: "count", updates: 3, counter: { kind: "exact", keysMax: 60 } },
  },
  {
    id: 9,
    name: "both",
    dim: 3,
    initializer,
    optimizer: adagrad(),
    admission: { kind: "count", updates: 2, counter: { kind: "bloom", keys: 50, falsePositives: 0.2 } },
    eviction: { rowsMax, order: "least-frequent" },
  },
  {
    id: 4,
    name: "evicts",
    dim: 1,
    initializer,
    optimizer: sgd(),
    eviction: { rowsMax, expireSteps: 5, order: "least-recent" },
  },
];
const KEYS = 150;
/** What the tables' rows take is more than twice as much. */
const SPILLING_BYTES = 16_000;

interface Disk {
  spilled(): number;
  share: MemoryShare;
}

function shareThatSpills(bytesMax: number): Disk {
  const cold = { open: (bytes: number) => new MemoryColdStore(bytes), rows: 0, bytes: 0, rowsSpilled: 0 };
  return { share: { ...testShare(), bytesMax, cold }, spilled: () => cold.rowsSpilled };
}

function open(share: MemoryShare, role: PartitionRole): Partition {
  const mode = consistencyOf(bsp());
  return new Partition({ partition: 5, partitions: 1, seed: 3, tables: TABLES, mode, share, role });
}

/** Some keys of some tables with any numbers, as a function of a seed. */
function segmentFor(seed: number, perTable = 12): Segment {
  const random = seededRandom(seed);
  const parts: TablePart[] = [];
  for (const { id, dim } of TABLES) {
    if (random.next() < 0.3) continue;
    const from = Math.floor(random.next() * KEYS * 0.8);
    const keys = [
      ...new Set(Array.from({ length: perTable }, () => from + Math.floor(random.next() ** 2 * KEYS * 0.4))),
    ];
    keys.sort((a, b) => a - b);
    parts.push({ table: id, keys, values: Array.from({ length: keys.length * dim }, () => random.next() - 0.5) });
  }
  return segmentOf(...parts);
}

type Change = { kind: "step" | "half" | "commit" | "attempt" | "push" | "again" | "set"; seed: number };
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("step", "step", "step", "half", "commit", "attempt", "push", "push", "again", "set"),
  seed: fc.nat(1_000_000),
});

class Driver {
  readonly chain: TestChain;
  #attempt: number;
  #sequence = 0;

  constructor(head: Partition) {
    this.chain = new TestChain(head, TABLES);
    this.#attempt = head.promised + 1;
    this.chain.start(this.#attempt);
  }

  do({ kind, seed }: Change): void {
    const { chain } = this;
    switch (kind) {
      case "step":
        chain.receive(0, segmentFor(seed));
        chain.receive(1, segmentFor(seed + 1));
        return chain.commit();
      case "half":
        return chain.receive(seed % 2, segmentFor(seed));
      case "commit":
        return chain.commit();
      case "attempt":
        return chain.start((this.#attempt += 1));
      case "push":
        this.#sequence += 1;
        return this.#push(seed);
      case "again":
        return this.#push(seed);
      case "set":
        return chain.set(segmentFor(seed, 4));
      default:
        return kind satisfies never;
    }
  }

  #push(seed: number): void {
    const sequence = Math.max(1, this.#sequence);
    const settled = Math.max(0, sequence - 3);
    this.chain.pushDirect({ client: 2 ** 40 + 7, sequence, settled }, segmentFor(seed));
  }
}

/** Ends a copy: what is left of it goes over at once. */
function finish(copy: PartitionCopy, target: Partition): void {
  for (let last = false; !last;) {
    const part = copy.next(700);
    last = target.takeCopy(part.bytes);
    expect(last).toBe(part.last);
  }
}

function expectEqual(target: Partition, source: Partition): void {
  expect(target.digest()).toBe(source.digest());
  expect(allRows(target, TABLES)).toEqual(allRows(source, TABLES));
  expect(target.committed).toEqual(source.committed);
  expect(target.promised).toBe(source.promised);
  expect(target.tombstonesSince(0)).toEqual(source.tombstonesSince(0));
}

const schedule = fc.record({
  before: fc.array(change, { minLength: 5, maxLength: 60, size: "max" }),
  isStaged: fc.boolean(),
  /** What happens between the parts, and how long these are. */
  during: fc.array(
    fc.record({ changes: fc.array(change, { maxLength: 4 }), bytesMax: fc.integer({ min: 1, max: 2500 }) }),
    {
      minLength: 1,
      maxLength: 40,
      size: "max",
    },
  ),
  after: fc.array(change, { maxLength: 12, size: "max" }),
  asHead: fc.array(change, { maxLength: 12, size: "max" }),
});

for (const disks of ["none", "source", "both"] as const) {
  test(`a copy made while the partition changes is equal to it ever after; rows on disk: ${disks}`, () => {
    let half = 0;
    const seen = { parts: 0, rows: 0, spilled: 0, staged: 0 };
    fc.assert(
      fc.property(schedule, ({ before, isStaged, during, after, asHead }) => {
        const disk = shareThatSpills(SPILLING_BYTES);
        const source = open(disks === "none" ? testShare() : disk.share, "head");
        const target = open(disks === "both" ? shareThatSpills(2 * SPILLING_BYTES).share : testShare(), "replica");
        const driver = new Driver(source);
        const { chain } = driver;
        for (const each of before) driver.do(each);
        for (const kind of isStaged ? (["half", "half"] as const) : []) driver.do({ kind, seed: (half += 1) });
        if (source.staged) seen.staged += 1;
        const spilledBefore = disk.spilled();

        const copy = source.copyOut();
        let last = target.takeCopy(copy.next(1).bytes);
        chain.replicas.push(target);
        for (const { changes, bytesMax } of during) {
          if (last) break;
          for (const each of changes) driver.do(each);
          last = target.takeCopy(copy.next(bytesMax).bytes);
          seen.parts += 1;
        }
        if (!last) finish(copy, target);
        seen.spilled += disk.spilled() - spilledBefore;
        seen.rows += source.rowCount();
        expectEqual(target, source);
        if (target.attempt === source.attempt) expect(target.staged).toBe(source.staged);

        for (const each of after) driver.do(each);
        expectEqual(target, source);

        // The target goes on as the head, the source beside it: both do the same.
        target.lead();
        const [a, b] = [new Driver(source), new Driver(target)];
        for (const each of asHead) {
          const { records } = source;
          a.do(each);
          b.do(each);
          if (disks === "none" && source.records !== records) expect(target.records).toEqual(source.records);
        }
        if (disks === "none") expectEqual(target, source);
        for (const each of [source, target]) each.dispose();
      }),
      { numRuns: 30 },
    );
    // Some 430 and 14.
    expect(seen.parts).toBeGreaterThan(100);
    expect(seen.staged).toBeGreaterThan(0);
    if (disks !== "none") expect(seen.spilled).toBeGreaterThan(500);
  });
}
