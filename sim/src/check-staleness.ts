/**
 * No worker is given a batch that would take it more than `stalenessSteps` of its own steps ahead of the slowest. Counted
 * from what was given and what came back; a worker that comes later counts from where the coordinator lets it begin.
 */
import type { BatchMessage } from "./batch-messages.ts";

interface Count {
  begun: number;
  finished: number;
}

export function faultsOfStaleness(messages: readonly BatchMessage[], stalenessSteps: number): string[] {
  const faults: string[] = [];
  const counts = new Map<number, Count>();
  const leases = new Set<number>();
  for (const { worker, control } of messages) {
    switch (control.type) {
      case "term": {
        const members = new Set(control.members.map((member) => member.worker));
        for (const known of counts.keys()) if (!members.has(known)) counts.delete(known);
        break;
      }
      case "batch": {
        const count = counts.get(worker) ?? { begun: control.begun, finished: control.begun };
        counts.set(worker, count);
        const slowest = Math.min(...Array.from(counts.values(), ({ finished }) => finished));
        if (count.begun - slowest > stalenessSteps)
          faults.push(
            `worker ${worker} was given batch ${control.batch} after ${count.begun}, where the slowest had finished ${slowest}: more than ${stalenessSteps} ahead`,
          );
        count.begun++;
        leases.add(control.lease);
        break;
      }
      case "batch-done": {
        const count = counts.get(worker);
        if (count && leases.delete(control.lease)) count.finished++;
        break;
      }
      case "evaluate": {
        // Nothing is under way, and all that was is applied: nobody is behind.
        const newest = Math.max(0, ...Array.from(counts.values(), ({ begun }) => begun));
        for (const count of counts.values()) count.begun = count.finished = newest;
        break;
      }
      default:
    }
  }
  return faults;
}
