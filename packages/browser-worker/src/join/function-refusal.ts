/** Jobs that no tab can serve: functions never travel, and a tab has no plugin files of its operator's. */
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";

/** Why a tab cannot serve a job, if it cannot. */
export function functionRefusal({ name, compile }: Pick<JobManifest, "name" | "compile">): ClusterError | undefined {
  const { loss } = compile;
  if (typeof loss === "string") return undefined;
  return new ClusterError(
    "BAD_JOB",
    `job "${name}" trains with the function "${loss.function}" of a plugin file, which no browser can run: ` +
      `serve it with \`volary worker --plugin FILE\``,
  );
}
