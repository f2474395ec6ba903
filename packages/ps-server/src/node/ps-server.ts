/**
 * A PS node as a process: a port, the real clock, a coordinator that it joins, and other PS nodes that it dials.
 *
 * What happens when a peer dies here: without its coordinator the node serves on and dials, for as long as it has rows,
 * else for about two minutes, after which it ends and says so. A coordinator that knows it still gives it the number it
 * had, and it keeps its rows; one that has given it up gives it another, and it begins without any.
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
  /** ws://host:port where others reach this node, if that is not where it listens: behind a proxy, for one. */
  announce?: string | undefined;
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
  /** What is sent to other machines need not be masked. */
  trustedNetwork?: boolean | undefined;
  clock?: Clock;
  /** In [0, 1): jitters the dialing. */
  random?: () => number;
}

export interface RunningPsServer {
  /** ws://host:port, where it listens. */
  readonly address: string;
  /** The node's number; another one once a coordinator has given it up and it has joined anew. */
  readonly node: number;
  /** Resolves with the reason once it has ended, by itself or by `stop`. */
  readonly closed: Promise<string>;
  stop: () => Promise<void>;
}

/**
 * Starts a PS node and joins the coordinator.
 *
 * @throws {TypeError} the coordinator's address is none, or the one to announce
 * @throws {Error} of the file system: rows cannot be spilled to the folder
 * @throws {ClusterError} ADDRESS_IN_USE, COORDINATOR_UNAVAILABLE after retries, NAME_TAKEN, PROTOCOL_VERSION
 */
export async function startPsServer(o: PsServerOptions): Promise<RunningPsServer> {
  const { name, log, clock = realClock, random = Math.random, trustedNetwork } = o;
  const coordinatorPage = pageOrigin(o.coordinator);
  if (o.announce !== undefined) checkAddress(o.announce, "the address to announce");
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
  const buffers = new ReceiveBuffers(memory.first);
  const host = new PsHost({
    name,
    clock,
    log,
    memory,
    plugins: o.plugins,
    dialer: wsDialer({ clock, onFault, trustedNetwork, buffers }),
    afterRead: (run) => process.nextTick(run),
    onCoordinatorLost: (reason) => {
      log(`the coordinator is gone (${reason}); serving on, and dialing it`);
      quickLosses = clock.now() - joinedMs < LIMITS.heartbeatLostMs ? quickLosses + 1 : 0;
      clock.after(Math.min(LIMITS.connectBackoffMs * 2 ** quickLosses, LIMITS.connectBackoffMaxMs), () => {
        const holdsRows = (host.node?.usage().rows ?? 0) > 0;
        join(holdsRows ? Infinity : LIMITS.reconnectAttemptsMax).catch((error: unknown) =>
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
    origins: [coordinatorPage, ...(o.origins ?? [])],
    behind: o.door,
    buffers,
    refuse: (hello) => host.refuse(hello),
    onLink: (link, hello) => host.accept(link, hello),
    onFault,
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.metrics() }),
  });

  /** Dials until the coordinator lets this node join. */
  async function join(attemptsMax: number): Promise<void> {
    const dialer: Dialer = {
      dial: async (address, hello) => {
        const coordinator = await wsDialer({ clock, onFault, trustedNetwork }).dial(address, hello);
        const before = host.node?.node;
        const node = await host.join({ coordinator, address: o.announce ?? port.address });
        joinedMs = clock.now();
        o.door?.tell({ type: "joined", node });
        log(node === before ? `joined ${address} again: still node ${node}` : `joined ${address} as node ${node}`);
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
  checkAddress(coordinator, "the coordinator's address");
  return new URL(coordinator.replace(/^ws/, "http")).origin;
}

function checkAddress(address: string, what: string): void {
  if (!/^wss?:\/\//.test(address) || !URL.canParse(address)) {
    throw new TypeError(`${what} is "${address}"; give ws://host:port or wss://host`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
