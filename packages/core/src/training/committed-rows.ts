/** The rows of a batch as they are committed: for evaluation and prediction, which are no step. */
import type { Requests } from "../client/index.ts";
import { ClusterError } from "../errors.ts";
import { frame, type Link } from "../wire/index.ts";
import type { StepRows } from "./step-rows.ts";

/**
 * Fills a batch's rows from the PS nodes.
 *
 * @param o.nodes ids of the PS nodes, in the order the rows were made for
 * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION (retryable), UNKNOWN_JOB
 */
export async function pullCommitted(
  rows: StepRows,
  o: { job: number; nodes: readonly number[]; requests: Requests; link: (node: number) => Link },
): Promise<void> {
  await Promise.all(
    o.nodes.map(async (node, n) => {
      const request = frame({ opcode: "pull", job: o.job, dtype: rows.wire.rows, ...rows.sections(n) });
      const reply = await o.requests.ask(o.link(node), request, rows.pulled(n));
      if (reply.partitions.length === 0) return;
      const moved = [...reply.partitions].slice(0, 5).join(", ");
      throw new ClusterError("STALE_GENERATION", `partitions ${moved} have moved from PS node ${node}`);
    }),
  );
}
