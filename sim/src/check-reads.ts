/**
 * A read that began after a push was acknowledged, or after another read saw it, sees it; and no read sees what nobody
 * had begun to push. (Linearizability of registers that only grow; Herlihy and Wing, TOPLAS 12(3), 1990.) A read that
 * any replica may answer is held to the second alone.
 */
import { byKey } from "./check-pushes.ts";
import { describe, type Ledger, type Operation } from "./ledger.ts";
import { PLAIN, type PlainName } from "./plain-tables.ts";

/** Tables whose values only grow, and what one push adds to the pushes before it. */
const GROWING: Partial<Record<PlainName, (values: readonly number[]) => number>> = {
  once: sum,
  counts: sum,
  peaks: (values) => Math.max(PLAIN.peaks.initializer.value, ...values),
};

export function faultsOfReads(ledger: Ledger): string[] {
  return Object.entries(GROWING).flatMap(([table, merge]) => faultsOfTable(ledger, table as PlainName, merge));
}

function faultsOfTable(ledger: Ledger, table: PlainName, merge: (values: readonly number[]) => number): string[] {
  const faults: string[] = [];
  const { dim } = PLAIN[table];
  const pushes = byKey(ledger.of("push", table));
  const reads = byKey(ledger.of("get", table).filter(({ outcome }) => outcome === "done"));
  for (const [key, ofKey] of reads) {
    const pushed = pushes.get(key) ?? [];
    for (let d = 0; d < dim; d++) {
      const valueOf = ({ keys, values }: Operation): number => values[keys.indexOf(key) * dim + d]!;
      const seen: { value: number; endedMs: number }[] = [];
      for (const read of ofKey.toSorted((a, b) => a.beganMs - b.beganMs)) {
        const value = valueOf(read);
        const before = seen.filter(({ endedMs }) => endedMs < read.beganMs).map((each) => each.value);
        const acknowledged = pushed.filter(({ outcome, endedMs }) => outcome === "done" && endedMs < read.beganMs);
        const begun = pushed.filter(({ beganMs }) => beganMs <= read.endedMs);
        const least = read.relaxed ? -Infinity : Math.max(merge(acknowledged.map(valueOf)), ...before);
        const most = merge(begun.map(valueOf));
        if (value < least)
          faults.push(`${describe(read)} saw ${value} at key ${key}, where ${least} was acknowledged or seen before`);
        if (value > most) faults.push(`${describe(read)} saw ${value} at key ${key}, where at most ${most} was pushed`);
        if (!read.relaxed) seen.push({ value, endedMs: read.endedMs });
      }
    }
  }
  return faults;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
