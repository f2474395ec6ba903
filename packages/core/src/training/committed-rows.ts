/** The rows of a batch as they are committed: for evaluation and prediction, which are no step. */
import type { Requests } from "../client/index.ts";
import { frame, type Link } from "../wire/index.ts";
import type { StepRows } from "./step-rows.ts";

/**
 * Fills a batch's rows from the PS nodes.
 *
 * @param o.nodes ids of the PS nodes, in the order the rows were made for
 * @throws {ClusterError} PARTITION_UNAVAILABLE (retryable), UNKNOWN_JOB
 */
export async function pullCommitted(
  rows: StepRows,
  o: { job: number; nodes: readonly number[]; requests: Requests; link: (node: number) => Link },
): Promise<void> {
  await Promise.all(
    o.nodes.map(async (node, n) => {
      const request = frame({ opcode: "pull", job: o.job, ...rows.sections(n) });
      const reply = await o.requests.ask(o.link(node), request);
      rows.takeReply(n, reply.values);
    }),
  );
}
