/**
 * Several PS nodes behind one port, so that all cores of a machine serve: each is a process and a complete node, with
 * memory of its own, and joins the coordinator under an address of its own, `ws://host:port/1`, `/2` … This process
 * listens, hands each connection to the node that its path names, and is out of the way from then on.
 *
 * Addresses of nodes on one machine share their `host:port`: that is how replicas can be kept apart.
 *
 * What happens when a peer dies here: a node that ends is reported and started anew, and joins as a fresh one without
 * rows, as any node that was lost: jobs go on where its partitions have another replica. One that keeps ending ends all.
 */
import type { ChildProcess } from "node:child_process";
import { LIMITS } from "@volary/core/limits";
import type { Clock } from "@volary/core/wire";
import { AggregatorRegistry, Gauge, Registry } from "prom-client";
import { realClock } from "./clock.ts";
import { faultLog } from "./fault-log.ts";
import { listen } from "./listen.ts";
import { askMetrics, handOver, openChildDoor, type MetricsJson, type ToParent } from "./ps-door.ts";

export interface PsProcessesOptions {
  /** Nodes, 1 or more. */
  processes: number;
  host?: string;
  /** 0 takes a free one. */
  port?: number;
  /** For messages to people. */
  name: string;
  log: (message: string) => void;
  /** Starts the process of node 1, 2 …, which calls `openPsDoor` and serves behind it; with an IPC channel. */
  fork: (number: number) => ChildProcess;
  clock?: Clock;
}

export interface RunningPsProcesses {
  /** ws://host:port; nodes are at /1, /2 … below it. */
  readonly address: string;
  /** Resolves with the reason once all have ended. */
  readonly closed: Promise<string>;
  stop: () => Promise<void>;
}

/** One node, over all its lives. */
interface Place {
  readonly number: number;
  child: ChildProcess | undefined;
  /** Its number in the cluster; undefined until it has joined. */
  node: number | undefined;
  startedMs: number;
  /** Times in a row that it ended soon after its start. */
  quickEnds: number;
}

/**
 * Starts all nodes and resolves when each has joined.
 *
 * @throws {ClusterError} ADDRESS_IN_USE
 * @throws {Error} a node ended before it had joined
 */
export async function startPsProcesses(o: PsProcessesOptions): Promise<RunningPsProcesses> {
  const { name, log, clock = realClock } = o;
  const places = Array.from({ length: o.processes }, (_, i): Place => {
    return { number: i + 1, child: undefined, node: undefined, startedMs: 0, quickEnds: 0 };
  });
  const scrapes = new Scrapes(clock);
  const port = await listen({
    name,
    port: o.port ?? 0,
    clock,
    ...(o.host === undefined ? {} : { host: o.host }),
    onLink: (link) => link.close("not a PS node"),
    onFault: faultLog(log),
    handOver: (upgrade) => {
      const number = Number(/^\/(\d{1,4})\/?(?:\?|$)/.exec(upgrade.request.url ?? "")?.[1]);
      const { child, node } = places[number - 1] ?? {};
      if (node === undefined || !child?.connected) return false;
      handOver(child, upgrade);
      return true;
    },
    trouble: () => {
      const absent = places.filter(({ node }) => node === undefined);
      if (absent.length === 0) return undefined;
      return `not in the cluster: ${absent.map(({ number }) => `process ${number}`).join(", ")}\n`;
    },
    metrics: () => scrapes.metricsOf(places),
  });

  let end: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => (end = resolve));
  let stopping = false;
  const closed = ended.then(async (reason) => {
    stopping = true;
    await Promise.all(places.map(({ child }) => endOf(child, clock)));
    await port.close().catch((error: unknown) => log(`while the PS processes stopped: ${String(error)}`));
    return reason;
  });
  const stop = async () => {
    end(`PS processes of ${name} stop`);
    await closed;
  };

  /** Resolves when the node has joined; from then on it is started anew whenever it ends. */
  function start(place: Place): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = o.fork(place.number);
      place.child = child;
      place.startedMs = clock.now();
      openChildDoor(child, `${port.address}/${place.number}`);
      child.on("message", (message: ToParent) => {
        if (message.type === "metrics") scrapes.answered(message.request, message.metrics);
        else {
          place.node = message.node;
          resolve();
        }
      });
      const onEnd = (how: string) => {
        if (place.child !== child) return;
        place.child = undefined;
        const joined = place.node !== undefined;
        place.node = undefined;
        reject(new Error(`PS process ${place.number} of ${name} ended (${how}) before it had joined; it said why`));
        if (!stopping && (joined || place.quickEnds > 0)) restart(place, how);
      };
      child.on("error", (error) => onEnd(error.message));
      child.on("exit", (code, signal) => onEnd(signal ?? `exit code ${code}`));
    });
  }

  function restart(place: Place, how: string): void {
    const quick = clock.now() - place.startedMs < LIMITS.heartbeatLostMs;
    place.quickEnds = quick ? place.quickEnds + 1 : 1;
    const what = `PS process ${place.number} of ${name} ended (${how})`;
    if (place.quickEnds > LIMITS.psRestartsMax) {
      end(`${what}, ${place.quickEnds} times in a row`);
      return;
    }
    log(`${what}: what it held is lost; starting it anew`);
    clock.after(Math.min(LIMITS.connectBackoffMs * 2 ** place.quickEnds, LIMITS.connectBackoffMaxMs), () => {
      if (!stopping) start(place).catch(() => {}); // its end was told already, and restarts it
    });
  }

  try {
    await Promise.all(places.map(start));
  } catch (error) {
    await stop();
    throw error;
  }
  return { address: port.address, closed, stop };
}

/** Asks a child to end, and kills one that does not. */
function endOf(child: ChildProcess | undefined, clock: Clock): Promise<void> {
  if (!child) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = clock.after(3 * LIMITS.closeGraceMs, () => child.kill("SIGKILL"));
    child.once("exit", () => {
      cancel();
      resolve();
    });
    if (child.connected) child.disconnect();
    if (child.exitCode !== null || child.signalCode !== null) resolve();
  });
}

/** Counts of all nodes at once, each with the number of its process. */
class Scrapes {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, (metrics: MetricsJson) => void>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  answered(request: number, metrics: MetricsJson): void {
    this.#waiting.get(request)?.(metrics);
  }

  async metricsOf(places: readonly Place[]): Promise<{ contentType: string; text: string }> {
    const all = await Promise.all(places.map((place) => this.#ask(place)));
    const registry = AggregatorRegistry.aggregate([...all, await this.#up(places)]);
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  /** Empty for one that is not there or does not answer in time. */
  #ask({ child, number }: Place): Promise<MetricsJson> {
    if (!child?.connected) return Promise.resolve([]);
    const request = this.#next++;
    return new Promise((resolve) => {
      const answer = (metrics: MetricsJson) => {
        cancel();
        this.#waiting.delete(request);
        for (const { values } of metrics) for (const value of values) value.labels["process"] = number;
        resolve(metrics);
      };
      const cancel = this.#clock.after(LIMITS.metricsTimeoutMs, () => answer([]));
      this.#waiting.set(request, answer);
      askMetrics(child, request);
    });
  }

  /** Which process is which node, and whether it is there. */
  async #up(places: readonly Place[]): Promise<MetricsJson> {
    const registry = new Registry();
    const up = new Gauge({
      name: "volary_ps_up",
      help: "Is this process a node of the cluster?",
      labelNames: ["process", "node"],
      registers: [registry],
    });
    const pid = new Gauge({
      name: "volary_ps_process_id",
      help: "Number that the operating system gave the process",
      labelNames: ["process"],
      registers: [registry],
    });
    for (const { number, node, child } of places) {
      if (child?.pid !== undefined) pid.set({ process: number }, child.pid);
      up.set({ process: number, ...(node === undefined ? {} : { node }) }, node === undefined ? 0 : 1);
    }
    return registry.getMetricsAsJSON();
  }
}
