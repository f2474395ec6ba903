/** The rows of batches as they are committed: for what is no step, and for batches that are trained one by one. */
import type { RowResiduals } from "../../compression/index.ts";
import type { Batch } from "../../data/index.ts";
import { frame } from "../../wire/index.ts";
import type { RowAge } from "./row-cache.ts";
import { HeadRequests, type HeadRequestsOptions } from "./head-requests.ts";
import { RowPlanner, type RowPlannerOptions, type StepRows } from "./step-rows.ts";

export interface CommittedRowsOptions extends HeadRequestsOptions {
  job: number;
  manifest: RowPlannerOptions["manifest"];
  /** Are dense variables pulled with the rows, from the reserved table? Not by default. */
  withDense?: boolean | undefined;
  /** What pushes of the pulled rows left out, where they are pushed. */
  residuals?: RowResiduals | undefined;
}

export class CommittedRows {
  readonly #job: number;
  readonly #heads: HeadRequests;
  readonly #planner: RowPlanner;

  constructor(o: CommittedRowsOptions) {
    const { manifest, links, withDense, residuals } = o;
    this.#job = o.job;
    this.#heads = new HeadRequests(o);
    this.#planner = new RowPlanner({ manifest, map: links.map, withDense, residuals });
  }

  /**
   * Pulls the rows of a batch. While partitions are taken over they are asked for again, by the newest map.
   *
   * @param o.age how old rows may be that this object kept from before, where the job has a cache; all are pulled
   *   without it
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION: not in {@link LIMITS.tableRetryMs}; UNKNOWN_JOB;
   *   BAD_DATA: a list of weights that is not as long as its list of keys
   */
  pull(batch: Batch, { age }: { age?: RowAge | undefined } = {}): Promise<StepRows> {
    const planner = this.#planner;
    return this.#heads.ask({
      rowsBy: (map) => {
        if (planner.map !== map) planner.adopt(map);
        return planner.rowsOf(batch, age);
      },
      frameOf: (rows, n) => (rows.asks(n) ? frame({ opcode: "pull", job: this.#job, ...rows.sections(n) }) : undefined),
      takes: (rows, n) => rows.pulled(n),
    });
  }
}
