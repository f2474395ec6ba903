/**
 * A client's links to the PS nodes of one job, for its tables.
 *
 * What happens when a peer dies here: requests to it are rejected as PARTITION_UNAVAILABLE, now and later.
 */
import { Requests, TableClient } from "@volary/core/client";
import { ClusterError } from "@volary/core/errors";
import type { PartitionMap } from "@volary/core/partition";
import { pullCommitted, type StepRows } from "@volary/core/training";
import type { Dialer, Link } from "@volary/core/wire";

export interface PsLinks {
  readonly tables: TableClient;
  readonly map: PartitionMap;
  /** Of the nodes that own rows. */
  readonly nodes: readonly number[];
  /** Fills a batch's rows, planned for `map` and `nodes`, with what is committed. */
  pull(rows: StepRows): Promise<void>;
  close(): void;
}

/** @throws {ClusterError} PARTITION_UNAVAILABLE: a node that owns rows cannot be reached */
export async function openPsLinks(o: {
  job: number;
  map: PartitionMap;
  name: string;
  dialer: Dialer;
}): Promise<PsLinks> {
  const { job, map, name, dialer } = o;
  const requests = new Requests();
  const links = new Map<number, Link>();
  const gone = new Map<number, string>();
  const owners = new Set(map.entries.map((entry) => entry.chain[0]));
  const dialAll = map.nodes
    .filter(({ node }) => owners.has(node))
    .map(async ({ node, address, name: nodeName }) => {
      const link = await dialer.dial(address, { role: "client", name, job }).catch((cause: unknown) => {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new ClusterError("PARTITION_UNAVAILABLE", `PS node ${nodeName}: ${why}`, { cause });
      });
      links.set(node, link);
      listen(link, requests, (reason) => gone.set(node, `PS node ${nodeName} is gone: ${reason}`));
    });
  const linkOf = (node: number): Link => {
    const reason = gone.get(node);
    if (reason !== undefined) throw new ClusterError("PARTITION_UNAVAILABLE", reason);
    return links.get(node)!;
  };
  const close = () => links.forEach((link) => link.close("the client is done"));
  const failed = (await Promise.allSettled(dialAll)).find((result) => result.status === "rejected");
  if (failed) {
    close();
    throw failed.reason;
  }
  const nodes = [...links.keys()].toSorted((a, b) => a - b);
  return {
    tables: new TableClient({ job, map, requests, link: linkOf }),
    map,
    nodes,
    pull: (rows) => pullCommitted(rows, { job, nodes, requests, link: linkOf }),
    close,
  };
}

function listen(link: Link, requests: Requests, onGone: (reason: string) => void): void {
  link.listen({
    onControl: (control) => {
      if (control.type === "error") requests.takeError(control);
    },
    onFrame: (frame) => void requests.takeFrame(frame),
    onClose: (reason) => {
      onGone(reason);
      requests.failLink(link, reason);
    },
  });
}
