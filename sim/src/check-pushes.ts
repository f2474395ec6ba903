/**
 * Every push that was acknowledged is in the tables exactly once, every other one at most once. It knows what clients
 * did and what the tables hold in the end, and nothing of how one became the other.
 */
import { describe, type Ledger, type Operation } from "./ledger.ts";
import { PLAIN, type PlainName } from "./plain-tables.ts";

/** What the tables hold in the end, by table and key. */
export type PlainRows = ReadonlyMap<string, ReadonlyMap<bigint, Float32Array>>;

export interface PushesToCheck {
  ledger: Ledger;
  rows: PlainRows;
}

export function faultsOfPushes(of: PushesToCheck): string[] {
  return [
    ...faultsOfOnce(of),
    ...faultsOfCounts(of, { table: "counts", dropped: 0 }),
    ...faultsOfCounts(of, { table: "late", dropped: PLAIN.late.admission.updates - 1 }),
    ...faultsOfPeaks(of),
    ...faultsOfWeights(of),
    ...faultsOfFew(of),
  ];
}

/** A key has one push. */
function faultsOfOnce({ ledger, rows }: PushesToCheck): string[] {
  const faults: string[] = [];
  const found = new Map(rows.get("once"));
  for (const push of ledger.of("push", "once")) {
    for (const key of push.keys) {
      const times = found.get(key)?.[0] ?? 0;
      found.delete(key);
      if (times === 1 || (times === 0 && push.outcome !== "done")) continue;
      faults.push(`${describe(push)} is there ${times} times, at key ${key}`);
    }
  }
  for (const key of found.keys()) faults.push(`table "once" has a row ${key}, which nobody pushed`);
  return faults;
}

/** @param o.dropped so many pushes of each key come before its row */
function faultsOfCounts(
  { ledger, rows }: PushesToCheck,
  { table, dropped }: { table: PlainName; dropped: number },
): string[] {
  const faults: string[] = [];
  for (const [key, pushes] of byKey(ledger.of("push", table))) {
    const count = rows.get(table)!.get(key)?.[0] ?? 0;
    const least = Math.max(0, pushes.filter(({ outcome }) => outcome === "done").length - dropped);
    const most = Math.max(0, pushes.length - dropped);
    if (count < least || count > most)
      faults.push(`key ${key} of table "${table}" is counted ${count} times, not ${range(least, most)}`);
  }
  return faults;
}

function faultsOfPeaks({ ledger, rows }: PushesToCheck): string[] {
  const faults: string[] = [];
  const { dim, initializer } = PLAIN.peaks;
  for (const [key, pushes] of byKey(ledger.of("push", "peaks"))) {
    for (let d = 0; d < dim; d++) {
      const valuesOf = (some: readonly Operation[]): number[] => [
        initializer.value,
        ...some.map((push) => push.values[push.keys.indexOf(key) * dim + d]!),
      ];
      const peak = rows.get("peaks")!.get(key)?.[d] ?? initializer.value;
      const least = Math.max(...valuesOf(pushes.filter(({ outcome }) => outcome === "done")));
      if (peak < least || !valuesOf(pushes).includes(peak))
        faults.push(`component ${d} of key ${key} of table "peaks" is ${peak}, where ${least} was pushed`);
    }
  }
  return faults;
}

/** More pushes of one key whose end is unknown than these are not told apart. */
const UNKNOWN_MAX = 8;

function faultsOfWeights({ ledger, rows }: PushesToCheck): string[] {
  const faults: string[] = [];
  const { dim, initializer, optimizer } = PLAIN.weights;
  for (const [key, pushes] of byKey(ledger.of("push", "weights"))) {
    const gradient = (push: Operation): number[] => {
      const at = push.keys.indexOf(key) * dim;
      return [...push.values.subarray(at, at + dim)];
    };
    const done = pushes.filter(({ outcome }) => outcome === "done").map(gradient);
    const unknown = pushes.filter(({ outcome }) => outcome !== "done").map(gradient);
    if (unknown.length > UNKNOWN_MAX) continue;
    const row = rows.get("weights")!.get(key) ?? new Float32Array(dim).fill(initializer.value);
    const fits = Array.from({ length: 2 ** unknown.length }).some((_, subset) => {
      const applied = [...done, ...unknown.filter((_each, i) => (subset >> i) & 1)];
      return row.every((weight, d) => {
        const sum = applied.reduce((total, each) => total + each[d]!, 0);
        return weight === initializer.value - optimizer.learningRate * sum;
      });
    });
    if (!fits)
      faults.push(
        `row ${key} of table "weights" is [${row.join(", ")}], which ${done.length} pushes and ${unknown.length} unknown ones do not make`,
      );
  }
  return faults;
}

/** Which keys stay depends on the order in which pushes came; that replicas agree on it is checked elsewhere. */
function faultsOfFew({ ledger, rows }: PushesToCheck): string[] {
  const faults: string[] = [];
  const found = rows.get("few")!;
  const pushes = byKey(ledger.of("push", "few"));
  if (found.size > PLAIN.few.eviction.rowsMax)
    faults.push(`table "few" has ${found.size} rows, and may have ${PLAIN.few.eviction.rowsMax}`);
  for (const [key, row] of found) {
    const most = pushes.get(key)?.length ?? 0;
    if (!(row[0]! >= 1 && row[0]! <= most))
      faults.push(`key ${key} of table "few" is counted ${row[0]} times, not ${range(1, most)}`);
  }
  return faults;
}

/** The operations on each key. */
export function byKey(operations: readonly Operation[]): Map<bigint, Operation[]> {
  const all = new Map<bigint, Operation[]>();
  for (const operation of operations) {
    for (const key of operation.keys) {
      const mine = all.get(key);
      if (mine) mine.push(operation);
      else all.set(key, [operation]);
    }
  }
  return all;
}

function range(least: number, most: number): string {
  return least === most ? String(least) : `${least} to ${most}`;
}
