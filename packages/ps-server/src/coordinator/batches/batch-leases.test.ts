import fc from "fast-check";
import { expect, it } from "vitest";
import { BatchLeases } from "./batch-leases.ts";

it("gives batches in order, those that came back first", () => {
  const leases = new BatchLeases({ total: 4 });
  const first = leases.grantNext(1, 0);
  leases.grantNext(2, 0);
  leases.grantNext(1, 0);
  expect(leases.grantsOf(1).map(({ batch }) => batch)).toEqual([0, 2]);
  leases.take({ ...first, now: 5 });
  leases.finish(0);
  expect(leases.grantsOf(1)).toMatchObject([{ batch: 2, sinceMs: 5 }]); // it came to this one then
  expect(leases.lose(2)).toEqual([1]);
  leases.giveBack(1);
  expect([leases.next, leases.held, leases.out, leases.settled]).toEqual([1, 1, 1, 1]);
  leases.grantNext(1, 9);
  expect(leases.next).toBe(3);
  leases.takeNext();
  expect(leases.next).toBeUndefined();
});

it("knows a lease by its worker and its batch, once", () => {
  const leases = new BatchLeases({ total: 1 });
  const { lease } = leases.grantNext(1, 0);
  expect(leases.take({ lease, batch: 0, worker: 2, now: 0 })).toBeUndefined();
  expect(leases.take({ lease, batch: 1, worker: 1, now: 0 })).toBeUndefined();
  expect(leases.take({ lease, batch: 0, worker: 1, now: 0 })?.lease).toBe(lease);
  expect(leases.take({ lease, batch: 0, worker: 1, now: 0 })).toBeUndefined();
});

it("says which batches are late with everyone who has them", () => {
  const leases = new BatchLeases({ total: 3 });
  leases.grantNext(1, 0);
  leases.grantNext(2, 10);
  expect(leases.late({ before: 10 })).toEqual([0]);
  leases.grantAlso({ batch: 0, worker: 3, now: 10 });
  expect(leases.late({ before: 10 })).toEqual([]);
  leases.void(1);
  expect(leases.late({ before: 11 })).toEqual([0]);
});

it("says since when workers are busy with what counts, and who is so with nothing that does", () => {
  const leases = new BatchLeases({ total: 3 });
  leases.grantNext(1, 10);
  leases.grantNext(1, 20);
  leases.grantNext(2, 30);
  expect([...leases.awaited({ from: 0 })]).toEqual([
    [1, 10],
    [2, 30],
  ]);
  expect(leases.awaited({ from: 25 }).get(1)).toBe(25);
  leases.void(0);
  leases.void(2);
  expect([...leases.awaited({ from: 0 })]).toEqual([[1, 20]]);
  expect([1, 2, 3].map((worker) => leases.hasVoid(worker))).toEqual([true, true, false]);
  expect([1, 2, 3].map((worker) => leases.isBusyInVain(worker))).toEqual([false, true, false]);
});

it("gives a lost worker's batch back only where nobody else has it", () => {
  const leases = new BatchLeases({ total: 2 });
  leases.grantNext(1, 0);
  leases.grantAlso({ batch: 0, worker: 2, now: 0 });
  expect(leases.lose(1)).toEqual([]);
  expect(leases.lose(2)).toEqual([0]);
});

it("a batch that is finished counts for nobody who still has it", () => {
  const leases = new BatchLeases({ total: 2 });
  const slow = leases.grantNext(1, 0);
  const quick = leases.grantAlso({ batch: 0, worker: 2, now: 0 });
  leases.take({ ...quick, now: 1 });
  leases.finish(0);
  expect(leases.lose(3)).toEqual([]);
  expect(leases.take({ ...slow, now: 2 })).toMatchObject({ batch: 0, isVoid: true });
  expect(() => leases.finish(0)).toThrow("batch 0 is finished, but not held");
});

it("settled and finished are what a set of all batches says, in any order of events", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ kind: fc.nat(3), pick: fc.nat(99) }), { maxLength: 200 }), (events) => {
      const total = 20;
      const leases = new BatchLeases({ total });
      const held = new Set<number>();
      const settled = new Set<number>();
      const finished = new Set<number>();
      for (const { kind, pick } of events) {
        const batch = [...held][pick % Math.max(1, held.size)];
        if (kind === 0 && leases.next !== undefined) held.add(leases.grantNext(pick % 3, 0).batch);
        else if (batch === undefined) continue;
        else if (kind === 1) {
          leases.settle(batch);
          settled.add(batch);
        } else if (kind === 2) {
          leases.void(batch);
          leases.giveBack(batch);
          held.delete(batch);
        } else {
          leases.finish(batch);
          held.delete(batch);
          settled.add(batch);
          finished.add(batch);
        }
        const free = Array.from({ length: total }, (_, b) => b).filter((b) => !held.has(b) && !finished.has(b));
        let below = 0;
        while (settled.has(below)) below++;
        expect([leases.next, leases.held, leases.finished, leases.settled]).toEqual([
          free[0],
          held.size,
          finished.size,
          below,
        ]);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});
