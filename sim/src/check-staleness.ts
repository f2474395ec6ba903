/**
 * No worker is given a batch that is more than `stalenessSteps` of its own steps ahead of one that is being trained
 * elsewhere, and no such one is as far ahead of it. Steps are counted as the coordinator says in each batch: for each
 * worker upwards. A late batch that is given to another worker as well stays a step of the one that had it first, until
 * any of them is done.
 */
import type { BatchMessage } from "./batch-messages.ts";

/** A batch that counts, and is not applied. */
interface Open {
  /** Who had it first, and how many that one had begun before. */
  readonly worker: number;
  readonly begun: number;
  /** Leases of all who have it, and whose they are. */
  readonly leases: Map<number, number>;
}

export function faultsOfStaleness(messages: readonly BatchMessage[], stalenessSteps: number): string[] {
  const faults: string[] = [];
  const open = new Map<number, Open>();
  const newest = new Map<number, number>();
  for (const { worker, control } of messages) {
    switch (control.type) {
      case "term": {
        const members = new Set(control.members.map((member) => member.worker));
        for (const known of newest.keys()) if (!members.has(known)) newest.delete(known);
        for (const [batch, { leases }] of open) {
          for (const [lease, holder] of leases) if (!members.has(holder)) leases.delete(lease);
          if (leases.size === 0) open.delete(batch);
        }
        break;
      }
      case "batch": {
        const { batch, lease, begun } = control;
        const before = newest.get(worker) ?? -1;
        if (begun <= before)
          faults.push(`worker ${worker} was given batch ${batch} after ${begun}, but had one after ${before} before`);
        newest.set(worker, begun);
        const mine = open.get(batch) ?? { worker, begun, leases: new Map() };
        mine.leases.set(lease, worker);
        open.set(batch, mine);
        for (const [other, { worker: holder, begun: at }] of open)
          if (Math.abs(mine.begun - at) > stalenessSteps)
            faults.push(
              `worker ${worker} was given batch ${batch} after ${mine.begun}, where worker ${holder} has batch ${other} after ${at}: more than ${stalenessSteps} apart`,
            );
        break;
      }
      case "batch-done":
        if (open.get(control.batch)?.leases.get(control.lease) === worker) open.delete(control.batch);
        break;
      case "evaluate":
        open.clear(); // nothing is under way, and all that was is applied
        break;
      default:
    }
  }
  return faults;
}
