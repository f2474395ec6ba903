/** The coordinator as a process: a port, a store, the real clock. */
import type { PartitionFunction } from "@volary/core/partition";
import type { Clock } from "@volary/core/wire";
import { CoordinatorHost } from "../coordinator/coordinator-host.ts";
import { Coordinator } from "../coordinator/coordinator.ts";
import type { CoordinatorStore } from "../coordinator/store.ts";
import { realClock } from "./clock.ts";
import { faultLog } from "./fault-log.ts";
import { pageRoutes } from "./http-routes.ts";
import { listen, type Listening } from "./listen.ts";
import { openSigningKey } from "./signing-key.ts";
import type { StaticPages } from "./static-pages.ts";

export interface CoordinatorOptions {
  host?: string;
  /** 0 takes a free one. */
  port: number;
  /** Closed when the coordinator has ended. */
  store: CoordinatorStore;
  log: (message: string) => void;
  /** Whose pages may open links, beside the coordinator's own. */
  origins?: readonly string[];
  /** Of the operators' dashboard, handed out at `/`; without them `/` says how to build them. */
  pages?: StaticPages | undefined;
  /** Of a cluster that has no partition map yet. */
  partitionsLog2?: number;
  partitionFunction?: PartitionFunction;
  /** Nodes that hold each partition, as far as there are so many; 1 unless said otherwise. */
  replicas?: number;
  clock?: Clock;
}

export interface RunningCoordinator {
  /** ws://host:port */
  readonly address: string;
  /** Resolves with the reason once it has ended, by itself or by `stop`. */
  readonly closed: Promise<string>;
  stop: () => Promise<void>;
}

/**
 * Starts a coordinator with the state it finds in the store.
 *
 * @throws {ClusterError} ADDRESS_IN_USE
 */
export async function startCoordinator(o: CoordinatorOptions): Promise<RunningCoordinator> {
  const { store, log, partitionsLog2, partitionFunction, replicas, clock = realClock } = o;
  const records = await store.load();
  const coordinator = new Coordinator({
    records,
    volunteerKeys: await openSigningKey(store, records),
    ...(partitionsLog2 === undefined ? {} : { partitionsLog2 }),
    ...(partitionFunction === undefined ? {} : { partitionFunction }),
    ...(replicas === undefined ? {} : { replicas }),
  });
  const host = new CoordinatorHost({ coordinator, store, clock, log });
  const port = await listen({
    name: "coordinator",
    port: o.port,
    clock,
    ...(o.host === undefined ? {} : { host: o.host }),
    ...(o.origins === undefined ? {} : { origins: o.origins }),
    refuse: (hello) => host.refuse(hello),
    routes: pageRoutes({ at: "/", page: "/dashboard.html", pages: o.pages }),
    onLink: (link) => host.accept(link),
    onFault: faultLog(log),
  }).catch(async (error: unknown) => {
    await host.stop("the port could not be opened");
    throw error;
  });
  let ask: (reason: string) => void = () => {};
  const asked = new Promise<string>((resolve) => {
    ask = resolve;
  });
  const closed = Promise.race([asked, host.failed]).then(async (reason) => {
    await end({ host, port, store, reason, log });
    return reason;
  });
  return {
    address: port.address,
    closed,
    stop: async () => {
      ask("the coordinator stops");
      await closed;
    },
  };
}

async function end(o: {
  host: CoordinatorHost;
  port: Listening;
  store: CoordinatorStore;
  reason: string;
  log: (message: string) => void;
}): Promise<void> {
  try {
    await o.host.stop(o.reason);
    await o.port.close();
    await o.store.close();
  } catch (error) {
    o.log(`while the coordinator stopped: ${error instanceof Error ? error.message : String(error)}`);
  }
}
