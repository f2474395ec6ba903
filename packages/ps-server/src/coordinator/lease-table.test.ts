/** Leases: every unit of work is finished exactly once, whoever dies. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LeaseTable, type Lease } from "./lease-table.ts";

describe("LeaseTable", () => {
  it("leases side by side from the front", () => {
    const table = new LeaseTable({ from: 5, to: 12 });
    expect(table.acquire({ holder: 1, unitsMax: 3 })).toMatchObject({ from: 5, to: 8 });
    expect(table.acquire({ holder: 2, unitsMax: 3 })).toMatchObject({ from: 8, to: 11 });
    expect(table.acquire({ holder: 1, unitsMax: 3 })).toMatchObject({ from: 11, to: 12 });
    expect(table.acquire({ holder: 1, unitsMax: 3 })).toBeUndefined();
  });

  it("is done at once when there is nothing to do", () => {
    expect(new LeaseTable({ from: 3, to: 3 }).done).toBe(true);
  });

  it("refuses a range that ends before it begins", () => {
    expect(() => new LeaseTable({ from: 3, to: 2 })).toThrow("lease table from 3 to 2");
  });

  it("finishes a lease once", () => {
    const table = new LeaseTable({ from: 0, to: 4 });
    const { lease } = table.acquire({ holder: 1, unitsMax: 4 })!;
    expect(table.holderOf({ lease })).toBe(1);
    expect([table.finish({ lease }), table.finish({ lease })]).toEqual([true, false]);
    expect([table.finished, table.done]).toEqual([4, true]);
    expect(table.holderOf({ lease })).toBeUndefined();
  });

  it("gives back what a lost holder has not finished, and takes its word no more", () => {
    const table = new LeaseTable({ from: 0, to: 6 });
    const lost = table.acquire({ holder: 1, unitsMax: 2 })!;
    table.acquire({ holder: 2, unitsMax: 2 });
    table.release({ holder: 1 });
    expect(table.finish(lost)).toBe(false);
    expect(table.acquire({ holder: 3, unitsMax: 9 })).toMatchObject({ from: 0, to: 2 });
  });

  it("finishBelow() finishes parts of leases and of what is pending", () => {
    const table = new LeaseTable({ from: 1, to: 11 });
    table.acquire({ holder: 1, unitsMax: 4 });
    table.finishBelow(3);
    expect(table.finished).toBe(2);
    table.release({ holder: 1 });
    expect(table.acquire({ holder: 2, unitsMax: 9 })).toMatchObject({ from: 3, to: 5 });
    table.finishBelow(11);
    expect([table.finished, table.done]).toEqual([10, true]);
  });

  it("leases and finishes every unit exactly once, whatever holders do", () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant("acquire" as const), holder: fc.nat(4), unitsMax: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ kind: fc.constant("finish" as const), which: fc.nat(50) }),
      fc.record({ kind: fc.constant("release" as const), holder: fc.nat(4) }),
    );
    fc.assert(
      fc.property(fc.nat(60), fc.array(action, { maxLength: 80 }), (units, actions) => {
        const table = new LeaseTable({ from: 0, to: units });
        const timesFinished = Array.from({ length: units }, () => 0);
        const all: Lease[] = [];
        const held = new Map<number, Lease>();
        const take = (holder: number, unitsMax: number) => {
          const lease = table.acquire({ holder, unitsMax });
          if (!lease) return false;
          for (const other of held.values()) expect(lease.to <= other.from || other.to <= lease.from).toBe(true);
          all.push({ ...lease });
          held.set(lease.lease, { ...lease });
          return true;
        };
        const finish = ({ lease, from, to }: Lease) => {
          const counts = table.finish({ lease });
          expect(counts).toBe(held.delete(lease));
          if (counts) for (let unit = from; unit < to; unit++) timesFinished[unit]!++;
        };
        for (const a of actions) {
          if (a.kind === "acquire") take(a.holder, a.unitsMax);
          else if (a.kind === "finish" && all.length > 0) finish(all[a.which % all.length]!);
          else if (a.kind === "release") {
            table.release({ holder: a.holder });
            for (const [id, lease] of held) if (lease.holder === a.holder) held.delete(id);
          }
        }
        // In the end all are lost but one, who finishes everything.
        for (let holder = 0; holder <= 4; holder++) table.release({ holder });
        held.clear();
        while (take(9, 7)) finish(all.at(-1)!);
        expect(timesFinished.every((n) => n === 1)).toBe(true);
        expect([table.finished, table.done]).toEqual([units, true]);
      }),
      { numRuns: 300 },
    );
  });
});
