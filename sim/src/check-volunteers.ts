/** Volunteers are told the truth: what counts is said to count, once, and nobody is sent away who did nothing wrong. */
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import type { SimulatedVolunteer } from "./simulated-volunteer.ts";
import type { VolunteersPlan } from "./volunteers-plan.ts";

/** Of the codes of updates that do not count, the only one that is no reproach. */
const LATE = "UPDATE_LATE";

type Told = Pick<SimulatedVolunteer, "name" | "connections" | "ended">;

export function faultsOfVolunteers(o: {
  volunteers: readonly Told[];
  manifest: JobManifest;
  plan: Pick<VolunteersPlan, "isExact">;
}): string[] {
  const { volunteers, manifest, plan } = o;
  const faults: string[] = [];
  for (const { name, connections, ended } of volunteers) {
    for (const { begun, lied, accepted, refused } of connections) {
      const isBegun = new Set(begun);
      const answered = new Set<number>();
      for (const { task } of [...accepted, ...refused]) {
        if (!isBegun.has(task)) faults.push(`${name} was told of task ${task}, which it was not given`);
        if (answered.has(task)) faults.push(`${name} was told twice what became of task ${task}`);
        answered.add(task);
      }
      for (const { task, step } of accepted)
        if (plan.isExact && lied.has(task)) faults.push(`a lie of ${name} counts in step ${step}`);
      for (const { task, code } of refused)
        if (code !== LATE && !lied.has(task))
          faults.push(`${name} was honest in task ${task}, and refused with ${code}`);
    }
    if (ended?.code.startsWith("UPDATE_") && connections.every(({ lied }) => lied.size === 0))
      faults.push(`${name} never lied, and may not come again: ${ended.reason}`);
    if (consistencyOf(manifest.fit.consistency).work === "steps") faults.push(...faultsOfSteps({ name, connections }));
  }
  return faults;
}

/** A step is committed once, and a volunteer has at most one task of it. */
function faultsOfSteps({ name, connections }: Pick<Told, "name" | "connections">): string[] {
  const seen = new Set<number>();
  const faults: string[] = [];
  for (const { step } of connections.flatMap(({ accepted }) => accepted)) {
    if (seen.has(step)) faults.push(`two updates of ${name} count in step ${step}`);
    seen.add(step);
  }
  return faults;
}
