/**
 * The steps that a job was trained in whose coordinator closes them: which batches each is the sum of, told from what was
 * given, closed and committed.
 */
import type { BatchMessage } from "./batch-messages.ts";

export interface ClosedStep {
  /** In the order of slots. */
  readonly batches: readonly number[];
  readonly scale: number;
}

/** @returns steps from 1 on, and what cannot be */
export function closedSteps(messages: readonly BatchMessage[]): { steps: ClosedStep[]; faults: string[] } {
  const given = new Map<string, Map<number, number>>();
  const closed = new Map<string, { slots: readonly number[]; scale: number }>();
  const committed = new Map<number, number>();
  const faults: string[] = [];
  const nameOf = (step: number, attempt: number) => `step ${step}, attempt ${attempt}`;
  const onCommitted = ({ step, attempt }: { step: number; attempt: number }) => {
    const known = committed.get(step) ?? attempt;
    if (known !== attempt) faults.push(`step ${step} was committed as attempt ${known} and as attempt ${attempt}`);
    if (step > 0) committed.set(step, attempt);
  };
  for (const { control } of messages) {
    if (control.type === "committed") onCommitted(control);
    else if (control.type === "promise") onCommitted(control.committed);
    else if (control.type === "batch") {
      const slots = given.get(nameOf(control.step, control.term)) ?? new Map<number, number>();
      given.set(nameOf(control.step, control.term), slots.set(control.slot, control.batch));
    } else if (control.type === "close") {
      const name = nameOf(control.step, control.attempt);
      const known = closed.get(name);
      if (known && known.slots.join() !== control.slots.join())
        faults.push(`${name} was closed with slots ${known.slots.join()} and with slots ${control.slots.join()}`);
      closed.set(name, control);
    }
  }
  const steps: ClosedStep[] = [];
  for (const [step, attempt] of [...committed].toSorted(([a], [b]) => a - b)) {
    const name = nameOf(step, attempt);
    const of = closed.get(name);
    if (step !== steps.length + 1 || !of) {
      faults.push(`${name} was committed after ${steps.length} steps${of ? "" : ", and never closed"}`);
      break;
    }
    steps.push({ batches: of.slots.map((slot) => given.get(name)!.get(slot)!), scale: of.scale });
  }
  const seen = new Set<number>();
  for (const [i, { batches }] of steps.entries()) {
    for (const batch of batches) {
      if (seen.has(batch)) faults.push(`step ${i + 1} has batch ${batch}, which an earlier one has, too`);
      seen.add(batch);
    }
  }
  return { steps, faults };
}
