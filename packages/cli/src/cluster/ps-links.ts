/**
 * A client's links to the PS nodes of one job, for its tables. They follow the partition map, whoever tells of a newer
 * one first: the coordinator, or a PS node.
 *
 * What happens when a peer dies here: a PS node is dialed until the map comes without it, and what it has not answered
 * is asked of who took over. Without the coordinator everything goes on as it is.
 */
import { NodeLinks, Requests, TableClient } from "@volary/core/client";
import { ClusterError } from "@volary/core/errors";
import type { PartitionMap } from "@volary/core/partition";
import type { Clock, Dialer } from "@volary/core/wire";
import type { CoordinatorClient } from "./coordinator-client.ts";

export interface PsLinks {
  readonly job: number;
  readonly links: NodeLinks;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly tables: TableClient;
  /** @param why what everything asked of them fails with from now on */
  close(why?: ClusterError): void;
}

export interface PsLinksOptions {
  job: number;
  map: PartitionMap;
  client: Pick<CoordinatorClient, "onMap" | "onLeave">;
  /** Of this client, for PS nodes. */
  name: string;
  dialer: Dialer;
  clock: Clock;
  /** In [0, 1); without it tables cannot be pushed to. */
  random?: () => number;
}

/** @throws {ClusterError} PARTITION_UNAVAILABLE: a node that owns rows cannot be reached */
export async function openPsLinks(o: PsLinksOptions): Promise<PsLinks> {
  const { job, map, client, name, dialer, clock, random } = o;
  const requests = new Requests();
  const links = new NodeLinks({ map, hello: { role: "client", name, job }, dialer, clock });
  const close = (why = new ClusterError("UNKNOWN_JOB", "the client has given these rows up")): void => {
    forgetMaps();
    forgetLeave();
    links.close(why);
    requests.close(why);
  };
  const forgetMaps = client.onMap((newer) => links.adopt(newer));
  const forgetLeave = client.onLeave(() => close(new ClusterError("UNKNOWN_JOB", "the client has left the cluster")));
  try {
    await links.open();
  } catch (error) {
    close();
    throw error;
  }
  links.listen({
    onControl: (_, control) => control.type === "error" && requests.takeError(control),
    onFrame: (_, frame) => void requests.takeFrame(frame),
    onDown: (_, link, reason) => requests.failLink(link, reason),
    onUp: () => {},
  });
  const tables = new TableClient({ job, links, requests, clock, random });
  return { job, links, requests, clock, tables, close };
}
