/**
 * Requests about keys, brought to the nodes that hold their partitions now and repeated until each partition has
 * answered. What a node refuses as stale, or does not answer because it is gone, is cut anew by the newest map.
 *
 * What happens when a peer dies here: its link closes, or the map comes without it; either way what it has not answered
 * goes to the next head. A link that is silent counts as broken after `LIMITS.resendEveryMs`.
 */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionEntry, PartitionMap } from "../partition/index.ts";
import { frame, type Clock, type Frame, type Link } from "../wire/index.ts";
import type { TableLinks } from "./node-links.ts";
import type { PulledRows } from "./pulled-rows.ts";
import type { Requests } from "./requests.ts";
import { partByNode, partOfPartitions, type KeyPart } from "./table-keys.ts";

type Fields = Partial<Frame> & Pick<Frame, "opcode">;

/** One try to have a part answered by a node. */
export interface Attempt {
  readonly part: KeyPart;
  readonly node: number;
  /** From 0. */
  readonly number: number;
}

export interface PartRequest {
  readonly part: KeyPart;
  /** The node that is asked; the head unless said otherwise. */
  nodeOf?(entry: PartitionEntry, attempt: number): number;
  /** The frame of an attempt, without its job; what it does not say is that of the part. */
  frameOf(attempt: Attempt): Fields | Promise<Fields>;
  /** Where the values of its reply go, if it brings some: new ones for each attempt, since a late reply may still come. */
  rowsOf?(attempt: Attempt): PulledRows;
  /**
   * Takes a reply, of which the values of stale partitions are missing.
   *
   * @returns false where it will not do, and the next attempt is made at once
   */
  accept?(attempt: Attempt, reply: Frame, rows: PulledRows | undefined): boolean;
}

export interface PartitionRequestsOptions {
  job: number;
  links: TableLinks;
  requests: Requests;
  clock: Clock;
}

/** How often and since when one part of a request has failed. */
interface Patience {
  readonly attempt: number;
  readonly sinceMs: number | undefined;
  /** Since when nodes say that they do not know the job. */
  readonly unknownSinceMs: number | undefined;
  readonly backoffMs: number;
}

const FRESH: Patience = {
  attempt: 0,
  sinceMs: undefined,
  unknownSinceMs: undefined,
  backoffMs: LIMITS.tableBackoffMs,
};

export class PartitionRequests {
  readonly #o: PartitionRequestsOptions;
  /** When a link answered last. */
  readonly #heardMs = new WeakMap<Link, number>();
  /** When a node was asked for its map last; undefined stands for all nodes. */
  readonly #mapAskedMs = new Map<number | undefined, number>();

  constructor(o: PartitionRequestsOptions) {
    this.#o = o;
  }

  /**
   * Resolves when every partition has answered. When it rejects, nothing of the request is sent any more.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE: some have not for {@link LIMITS.tableRetryMs}; what a node answered
   *   that does not pass
   */
  deliver(request: PartRequest): Promise<void> {
    return this.#deliver(request, FRESH);
  }

  async #deliver(request: PartRequest, patience: Patience): Promise<void> {
    const { map } = this.#o.links;
    const nodeOf = (partition: number): number => {
      const entry = map.entries[partition]!;
      return request.nodeOf?.(entry, patience.attempt) ?? entry.chain[0]!;
    };
    const byNode = [...partByNode(request.part, nodeOf)];
    await allDone(
      byNode.map(([node, part]) =>
        this.#deliverTo(request, { attempt: { part, node, number: patience.attempt }, map, patience }),
      ),
    );
  }

  async #deliverTo(
    request: PartRequest,
    of: { attempt: Attempt; map: PartitionMap; patience: Patience },
  ): Promise<void> {
    const { attempt, map, patience } = of;
    const next = { ...patience, attempt: patience.attempt + 1 };
    const answer = await this.#ask(request, attempt, map).catch((error: unknown) => {
      if (error instanceof ClusterError && this.#passes(error, attempt.node)) return error;
      throw error;
    });
    if (answer === "refused") return this.#deliver({ ...request, part: attempt.part }, next);
    const isStale = answer instanceof Set;
    const left = isStale ? partOfPartitions(attempt.part, answer) : attempt.part;
    if (!left) return;
    const failure = isStale
      ? new ClusterError("STALE_GENERATION", `PS node ${attempt.node} does not serve them`)
      : answer;
    const since = this.#checkPatience({ ...of, failure, left });
    this.#askForMap(failure.code === "STALE_GENERATION" ? attempt.node : undefined);
    await this.#pause({ map, part: left, ms: patience.backoffMs });
    const backoffMs = Math.min(2 * patience.backoffMs, LIMITS.tableBackoffMaxMs);
    return this.#deliver({ ...request, part: left }, { ...next, ...since, backoffMs });
  }

  /** Sends one frame and takes its reply. @returns the partitions that are stale, or that the reply will not do */
  async #ask(request: PartRequest, attempt: Attempt, map: PartitionMap): Promise<Set<number> | "refused"> {
    const { job, requests } = this.#o;
    const link = await this.#linkTo(attempt, map);
    const { partitions, counts, keys } = attempt.part;
    const generations = partitions.map((partition) => map.entries[partition]!.generation);
    const rows = request.rowsOf?.(attempt);
    const fields = await request.frameOf(attempt);
    const asked = requests.ask(link, frame({ job, partitions, generations, counts, keys, ...fields }), rows);
    const reply = await this.#answered(link, asked);
    if (request.accept?.(attempt, reply, rows) === false) return "refused";
    // The reply of an export says what it is of, all others what they are not of.
    return new Set(reply.opcode === "exportReply" ? [] : reply.partitions);
  }

  /** The link to a node, for which a caller waits until its partitions have another head, and not forever. */
  async #linkTo({ node, part }: Attempt, map: PartitionMap): Promise<Link> {
    const { links } = this.#o;
    const link = links.get(node);
    if (link) return link;
    this.#askForMap(undefined);
    const up = links.up(node);
    const found = await Promise.race([up, this.#pause({ map, part, ms: LIMITS.resendEveryMs, over: up })]);
    if (found) return found;
    throw new ClusterError("PARTITION_UNAVAILABLE", `there is no link to PS node ${node}`);
  }

  /** The reply, unless nothing comes over its link for a while. */
  #answered(link: Link, asked: Promise<Frame>): Promise<Frame> {
    const { clock } = this.#o;
    return new Promise((resolve, reject) => {
      let sinceMs = clock.now();
      const look = () => {
        const heardMs = this.#heardMs.get(link) ?? -Infinity;
        if (heardMs <= sinceMs) {
          reject(new ClusterError("TIMEOUT", `${link.name} is silent`));
          return;
        }
        sinceMs = clock.now();
        cancel = clock.after(LIMITS.resendEveryMs, look);
      };
      let cancel = clock.after(LIMITS.resendEveryMs, look);
      const heard = () => {
        cancel();
        this.#heardMs.set(link, clock.now());
      };
      asked.then(
        (reply) => (heard(), resolve(reply)),
        (error: unknown) => (heard(), reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }

  /**
   * May the same request succeed later? A node that came back in another's place says that it does not know the job;
   * the next map tells who does.
   */
  #passes({ retryable, code }: ClusterError, node: number): boolean {
    return retryable || (code === "UNKNOWN_JOB" && this.#o.links.get(node) !== undefined);
  }

  /**
   * Since when this part fails.
   *
   * @throws {ClusterError} it has for too long
   */
  #checkPatience(of: {
    attempt: Attempt;
    patience: Patience;
    failure: ClusterError;
    left: KeyPart;
  }): Pick<Patience, "sinceMs" | "unknownSinceMs"> {
    const { attempt, patience, failure, left } = of;
    const nowMs = this.#o.clock.now();
    const { sinceMs = nowMs } = patience;
    const unknownSinceMs = failure.code === "UNKNOWN_JOB" ? (patience.unknownSinceMs ?? nowMs) : undefined;
    if (unknownSinceMs !== undefined && nowMs - unknownSinceMs >= LIMITS.resendEveryMs) throw failure;
    if (nowMs - sinceMs < LIMITS.tableRetryMs) return { sinceMs, unknownSinceMs };
    const some = [...left.partitions].slice(0, 5).join(", ");
    const more = left.partitions.length > 5 ? ", …" : "";
    throw new ClusterError(
      "PARTITION_UNAVAILABLE",
      `partitions ${some}${more} on PS node ${attempt.node}: no answer for ${LIMITS.tableRetryMs / 1000} s ` +
        `(${failure.message}); \`volary status\` says which nodes are up`,
      { cause: failure },
    );
  }

  /** Asks a node for its map, or all of them, but not at every failure. */
  #askForMap(node: number | undefined): void {
    const nowMs = this.#o.clock.now();
    const askedMs = this.#mapAskedMs.get(node);
    if (askedMs !== undefined && nowMs - askedMs < LIMITS.mapRequestEveryMs) return;
    this.#mapAskedMs.set(node, nowMs);
    this.#o.links.requestMap(node);
  }

  /**
   * Until some partition of a part has another head than in this map, or `over` settles, and not longer than `ms`. Of
   * newer maps that say nothing about heads there may be many while partitions are copied.
   */
  #pause(o: { map: PartitionMap; part: KeyPart; ms: number; over?: Promise<unknown> }): Promise<void> {
    const { map, part, ms, over } = o;
    const { links, clock } = this.#o;
    if (haveMoved(part, map, links.map)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        forget();
        resolve();
      };
      const forget = links.onMap((newer) => haveMoved(part, map, newer) && done());
      const cancel = clock.after(ms, done);
      void over?.catch(() => {}).finally(done);
    });
  }
}

/** Has a partition of this part another head in the newer map, or its head begun anew? */
function haveMoved({ partitions }: KeyPart, map: PartitionMap, newer: PartitionMap): boolean {
  if (newer.heads === map.heads) return false;
  return partitions.some((partition) => {
    const [before, now] = [map.entries[partition]!, newer.entries[partition]!];
    return before.chain[0] !== now.chain[0] || before.headSince !== now.headSince;
  });
}

/** Waits for all of them, and throws the first failure. */
async function allDone(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === "rejected") throw result.reason;
}
