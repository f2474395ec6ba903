/**
 * A PS node as a process: a port, the real clock, and a coordinator that it joins.
 *
 * What happens when a peer dies here: without its coordinator the node serves on and dials for about two minutes.
 * A coordinator it joins anew has given its rows up, so it begins without any; when there is none, it ends and says so.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Plugins } from "@volary/core/plugin";
import { TableMemory } from "@volary/core/table";
import { connectWithBackoff, type Clock, type Dialer } from "@volary/core/wire";
import { PsHost } from "../ps-host.ts";
import { ReceiveBuffers } from "../receive-buffers.ts";
import { realClock } from "./clock.ts";
import { coldFiles } from "./cold-files.ts";
import { wsDialer } from "./dial.ts";
import { faultLog } from "./fault-log.ts";
import { listen } from "./listen.ts";
import { defaultMemoryMax } from "./memory-limit.ts";
import type { PsDoor } from "./ps-door.ts";
import { psMetrics } from "./ps-metrics.ts";

/** What is left for frames in passing and staged steps. */
const ROWS_SHARE = 7 / 8;

export interface PsServerOptions {
  /** ws://host:port */
  coordinator: string;
  host?: string;
  /** 0 takes a free one. */
  port?: number;
  /** Whose pages may open links, beside the coordinator's. */
  origins?: readonly string[];
  /** Unique in the cluster. */
  name: string;
  log: (message: string) => void;
  /** Rows, their bookkeeping and frames in passing; three quarters of what there is unless said otherwise. */
  memoryMaxBytes?: number | undefined;
  /** Folder for rows that memory has no room for; without one, pushes that need more are refused. */
  spillFolder?: string | undefined;
  /** Serves behind the port of another process, whose it is; `host` and `port` say nothing then. */
  door?: PsDoor | undefined;
  /** Server updates that tables may name; none by default. */
  plugins?: Plugins | undefined;
  clock?: Clock;
  /** In [0, 1): jitters the dialing. */
  random?: () => number;
}

export interface RunningPsServer {
  /** ws://host:port */
  readonly address: string;
  /** The node's number; another one once it has joined anew. */
  readonly node: number;
  /** Resolves with the reason once it has ended, by itself or by `stop`. */
  readonly closed: Promise<string>;
  stop: () => Promise<void>;
}

/**
 * Starts a PS node and joins the coordinator.
 *
 * @throws {TypeError} the coordinator's address is none
 * @throws {Error} of the file system: rows cannot be spilled to the folder
 * @throws {ClusterError} ADDRESS_IN_USE, COORDINATOR_UNAVAILABLE after retries, NAME_TAKEN, PROTOCOL_VERSION
 */
export async function startPsServer(o: PsServerOptions): Promise<RunningPsServer> {
  const { name, log, clock = realClock, random = Math.random } = o;
  const controller = new AbortController();
  const { signal } = controller;
  const onFault = faultLog(log);
  let joinedMs = 0;
  /** Times in a row that a coordinator was lost soon after it was joined. */
  let quickLosses = 0;
  const memory = new TableMemory({
    bytesMax: Math.floor(ROWS_SHARE * (o.memoryMaxBytes ?? defaultMemoryMax())),
    openCold: o.spillFolder === undefined ? undefined : coldFiles(o.spillFolder),
  });
  const host = new PsHost({
    name,
    clock,
    log,
    memory,
    plugins: o.plugins,
    onCoordinatorLost: (reason) => {
      log(`the coordinator is gone (${reason}); serving on, and dialing it`);
      quickLosses = clock.now() - joinedMs < LIMITS.heartbeatLostMs ? quickLosses + 1 : 0;
      clock.after(Math.min(LIMITS.connectBackoffMs * 2 ** quickLosses, LIMITS.connectBackoffMaxMs), () => {
        join(LIMITS.reconnectAttemptsMax).catch((error: unknown) =>
          end(`${name} lost its coordinator: ${messageOf(error)}`),
        );
      });
    },
  });
  const metrics = psMetrics(host, memory);
  o.door?.onMetrics(() => metrics.getMetricsAsJSON());
  const port = await listen({
    name,
    port: o.port ?? 0,
    clock,
    ...(o.host === undefined ? {} : { host: o.host }),
    origins: [pageOrigin(o.coordinator), ...(o.origins ?? [])],
    behind: o.door,
    buffers: new ReceiveBuffers(memory.first),
    refuse: (hello) => host.refuse(hello),
    onLink: (link) => host.accept(link),
    onFault,
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.metrics() }),
  });

  /** Dials until the coordinator lets this node join. */
  async function join(attemptsMax: number): Promise<void> {
    const dialer: Dialer = {
      dial: async (address, hello) => {
        const coordinator = await wsDialer({ clock, onFault }).dial(address, hello);
        const node = await host.join({ coordinator, address: port.address });
        joinedMs = clock.now();
        o.door?.tell({ type: "joined", node });
        log(`joined ${address} as node ${node}`);
        return coordinator;
      },
    };
    await connectWithBackoff({
      dialer,
      address: o.coordinator,
      hello: { role: "ps", name },
      clock,
      random,
      log,
      attemptsMax,
      signal,
    });
  }

  let end: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const closed = ended.then(async (reason) => {
    controller.abort(new ClusterError("JOB_STOPPED", reason));
    host.stop(reason);
    await port.close().catch((error: unknown) => log(`while the node stopped: ${messageOf(error)}`));
    return reason;
  });
  void o.door?.closed.then(() => end("the process that holds the port is gone"));
  const stop = async () => {
    end(`PS node ${name} stops`);
    await closed;
  };
  try {
    await join(LIMITS.connectAttemptsMax);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address: port.address,
    get node() {
      return host.node!.node;
    },
    closed,
    stop,
  };
}

/** Where pages that the coordinator serves come from. */
function pageOrigin(coordinator: string): string {
  if (!/^wss?:\/\//.test(coordinator) || !URL.canParse(coordinator)) {
    throw new TypeError(`the coordinator's address is "${coordinator}"; give ws://host:port or wss://host`);
  }
  return new URL(coordinator.replace(/^ws/, "http")).origin;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
