/** The rows of batches as they are committed: for evaluation and prediction, which are no step. */
import type { NodeLinks, Requests } from "../client/index.ts";
import type { Batch } from "../data/index.ts";
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { frame, type Clock } from "../wire/index.ts";
import { RowPlanner, type RowPlannerOptions, type StepRows } from "./step-rows.ts";

export interface CommittedRowsOptions {
  job: number;
  manifest: RowPlannerOptions["manifest"];
  links: Pick<NodeLinks, "map" | "onMap" | "get" | "requestMap">;
  requests: Requests;
  clock: Clock;
}

export class CommittedRows {
  readonly #o: CommittedRowsOptions;
  readonly #planner: RowPlanner;

  constructor(o: CommittedRowsOptions) {
    this.#o = o;
    this.#planner = new RowPlanner({ manifest: o.manifest, map: o.links.map });
  }

  /**
   * Pulls the rows of a batch. While partitions are taken over they are asked for again, by the newest map.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION: not in {@link LIMITS.tableRetryMs}; UNKNOWN_JOB;
   *   BAD_DATA: a list of weights that is not as long as its list of keys
   */
  async pull(batch: Batch): Promise<StepRows> {
    const { clock, links } = this.#o;
    let waitMs: number = LIMITS.tableBackoffMs;
    let failingSince: number | undefined;
    for (;;) {
      if (this.#planner.map !== links.map) this.#planner.adopt(links.map);
      const rows = this.#planner.rowsOf(batch);
      try {
        await this.#ask(rows);
        return rows;
      } catch (error) {
        rows.release();
        failingSince ??= clock.now();
        if (!passes(error) || clock.now() - failingSince >= LIMITS.tableRetryMs) throw error;
      }
      links.requestMap();
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
      waitMs = Math.min(2 * waitMs, LIMITS.tableBackoffMaxMs);
    }
  }

  /** Asks every node at once. One that is not the head any more, or is silent, need not answer. */
  async #ask(rows: StepRows): Promise<void> {
    const { clock, links } = this.#o;
    const { nodes, heads } = rows.route;
    let answers = 0;
    const asked = nodes.map((node, n) => this.#askNode(rows, node, n).then(() => answers++));
    let end = () => {};
    const ended = new Promise<never>((_, reject) => {
      const forget = links.onMap((map) => {
        if (map.heads !== heads) reject(new ClusterError("STALE_GENERATION", "partitions have other heads now"));
      });
      let before = -1;
      let cancel = () => {};
      const look = () => {
        const got = nodes.reduce((sum, _, n) => sum + rows.pulled(n).taken, answers);
        if (got === before) reject(new ClusterError("TIMEOUT", "PS nodes do not send the rows of a batch"));
        before = got;
        cancel = clock.after(LIMITS.resendEveryMs, look);
      };
      look();
      end = () => {
        forget();
        cancel();
      };
    });
    try {
      await Promise.race([ended, Promise.all(asked)]);
    } finally {
      end();
    }
  }

  async #askNode(rows: StepRows, node: number, n: number): Promise<void> {
    const { job, links, requests } = this.#o;
    const link = links.get(node);
    if (!link) throw new ClusterError("PARTITION_UNAVAILABLE", `PS node ${node} cannot be reached`);
    const request = frame({ opcode: "pull", job, dtype: rows.wire.rows, ...rows.sections(n) });
    const reply = await requests.ask(link, request, rows.pulled(n));
    if (reply.partitions.length === 0) return;
    const moved = [...reply.partitions].slice(0, 5).join(", ");
    throw new ClusterError("STALE_GENERATION", `partitions ${moved} have moved from PS node ${node}`);
  }
}

/** A node that came back in another's place does not know the job; the next map says so. */
function passes(error: unknown): boolean {
  return error instanceof ClusterError && (error.retryable || error.code === "UNKNOWN_JOB");
}
