/**
 * Asks the heads of all partitions about the rows of a batch, and again by the newest partition map while partitions
 * are taken over. What is asked may come twice to a node: reads change nothing, and a push has a name.
 */
import type { NodeLinks, PulledRows, Requests } from "../../client/index.ts";
import { ClusterError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { PartitionMap } from "../../partition/index.ts";
import type { Clock, Frame } from "../../wire/index.ts";
import type { StepRows } from "./step-rows.ts";

export interface HeadRequestsOptions {
  links: Pick<NodeLinks, "map" | "onMap" | "get" | "requestMap">;
  requests: Requests;
  clock: Clock;
}

export interface HeadRequest {
  /** The rows, as they are planned by a map. */
  rowsBy(map: PartitionMap): StepRows;
  /** What node number `n` is asked; nothing if undefined. */
  frameOf(rows: StepRows, n: number): Frame | undefined;
  /** Takes the values that node number `n` answers with, if it does. */
  takes?(rows: StepRows, n: number): PulledRows;
}

export class HeadRequests {
  readonly #o: HeadRequestsOptions;

  constructor(o: HeadRequestsOptions) {
    this.#o = o;
  }

  /**
   * Resolves once every head has answered.
   *
   * @returns the rows as they were planned at last
   * @throws {ClusterError} PARTITION_UNAVAILABLE, STALE_GENERATION, TIMEOUT, UNKNOWN_JOB: not in
   *   {@link LIMITS.tableRetryMs}; what a node answered that does not pass
   */
  async ask(request: HeadRequest): Promise<StepRows> {
    const { clock, links } = this.#o;
    let waitMs: number = LIMITS.tableBackoffMs;
    let failingSince: number | undefined;
    let patienceMs: number = LIMITS.resendEveryMs;
    for (;;) {
      const rows = request.rowsBy(links.map);
      try {
        await this.#askAll(request, rows, patienceMs);
        return rows;
      } catch (error) {
        rows.release();
        failingSince ??= clock.now();
        if (!passes(error) || clock.now() - failingSince >= LIMITS.tableRetryMs) throw error;
        if (isTimeout(error)) patienceMs *= 2; // nodes are not silent, perhaps, but links are slow
      }
      links.requestMap();
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
      waitMs = Math.min(2 * waitMs, LIMITS.tableBackoffMaxMs);
    }
  }

  /** Asks every node at once. One that is not the head any more, or is silent for so long, need not answer. */
  async #askAll(request: HeadRequest, rows: StepRows, patienceMs: number): Promise<void> {
    const { clock, links } = this.#o;
    const { nodes, heads } = rows.route;
    let answers = 0;
    const asked = nodes.map((node, n) => this.#askNode(request, { rows, node, n }).then(() => answers++));
    let end = () => {};
    const ended = new Promise<never>((_, reject) => {
      const forget = links.onMap((map) => {
        if (map.heads !== heads) reject(new ClusterError("STALE_GENERATION", "partitions have other heads now"));
      });
      let before = -1;
      let cancel = () => {};
      const look = () => {
        const taken = (n: number) => request.takes?.(rows, n).taken ?? 0;
        const got = nodes.reduce((sum, _, n) => sum + taken(n), answers);
        if (got === before) reject(new ClusterError("TIMEOUT", "PS nodes do not answer about the rows of a batch"));
        before = got;
        cancel = clock.after(patienceMs, look);
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

  async #askNode(request: HeadRequest, { rows, node, n }: { rows: StepRows; node: number; n: number }): Promise<void> {
    const { links, requests } = this.#o;
    const frame = request.frameOf(rows, n);
    if (!frame) return;
    const link = links.get(node);
    if (!link) throw new ClusterError("PARTITION_UNAVAILABLE", `PS node ${node} cannot be reached`);
    const reply = await requests.ask(link, frame, request.takes?.(rows, n));
    if (reply.partitions.length === 0) return;
    const moved = [...reply.partitions].slice(0, 5).join(", ");
    throw new ClusterError("STALE_GENERATION", `partitions ${moved} have moved from PS node ${node}`);
  }
}

/** A node that came back in another's place does not know the job; the next map says so. */
function passes(error: unknown): boolean {
  return error instanceof ClusterError && (error.retryable || error.code === "UNKNOWN_JOB");
}

function isTimeout(error: unknown): boolean {
  return error instanceof ClusterError && error.code === "TIMEOUT";
}
