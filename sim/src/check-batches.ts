/** Every batch of the steps that a job says it has trained is trained once: no more, no less, whoever lost it meanwhile. */
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import { batchesPerStep } from "@volary/core/training";
import type { BatchMessage } from "./batch-messages.ts";
import { closedSteps } from "./closed-steps.ts";
import type { FinishedJob } from "./training-run.ts";

export function faultsOfBatches(o: {
  manifest: JobManifest;
  finished: Pick<FinishedJob, "commits" | "status">;
  messages: readonly BatchMessage[];
}): string[] {
  const { manifest, finished, messages } = o;
  const { commits, status } = finished;
  const { gradients } = consistencyOf(manifest.fit.consistency);
  const { steps, faults } = closedSteps(messages);
  const trained = new Set(
    gradients === "at-commit"
      ? steps.flatMap(({ batches }) => batches)
      : messages.flatMap(({ control }) => (control.type === "batch-done" ? control.batch : [])),
  );
  const count = commits.length * batchesPerStep(manifest);
  const lacking = Array.from({ length: count }, (_, batch) => batch).filter((batch) => !trained.has(batch));
  if (lacking.length > 0) faults.push(`batches ${lacking.join(", ")} count as trained, and are not`);
  const finishedBatches = status.batches?.finished ?? 0;
  if (finishedBatches > trained.size || finishedBatches < count)
    faults.push(
      `${finishedBatches} batches are finished, of ${trained.size} that were trained in ${commits.length} whole steps`,
    );
  return faults;
}
