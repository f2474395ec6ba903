/**
 * A cluster of real processes for tests of faults: each PS node stands behind a proxy of its own and reaches the
 * coordinator through another, so that processes can be killed, frozen and started anew, and networks cut.
 */
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterStatus } from "@volary/core/wire";
import { ChildRole, type RoleName } from "../cluster/child-role.ts";
import { Cluster } from "../cluster/cluster.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const MAIN = path.join(import.meta.dirname, "../main.ts");
const LOOK_EVERY_MS = 50;

/** A PS node's network. */
interface Network {
  /** What it announces: whoever dials the node comes this way. */
  readonly inbound: TcpProxy;
  readonly toCoordinator: TcpProxy;
}

/** What a process of `volary` is started as. */
export function volaryCommand(...args: string[]): string[] {
  return [process.execPath, "--conditions=volary-source", MAIN, ...args];
}

export class FaultCluster {
  /** Of the coordinator, ws://host:port */
  readonly address: string;
  readonly client: Cluster;
  readonly #children: Map<string, ChildRole>;
  readonly #networks = new Map<string, Network>();

  private constructor(o: { address: string; client: Cluster; children: Map<string, ChildRole> }) {
    this.address = o.address;
    this.client = o.client;
    this.#children = o.children;
  }

  /** Starts all processes: nodes ps-1, ps-2 …, workers worker-1 … */
  static async start(o: { ps: number; workers?: number; replicas: number }): Promise<FaultCluster> {
    const coordinator = spawn("coordinator", "coordinator", ["--port", "0", "--replicas", String(o.replicas)]);
    const children = new Map([["coordinator", coordinator]]);
    try {
      const { address } = await coordinator.ready();
      const client = await Cluster.connect(address, { onWarning: () => {} });
      const cluster = new FaultCluster({ address, client, children });
      await Promise.all(names("ps", o.ps).map((name) => cluster.startPs(name)));
      await Promise.all(names("worker", o.workers ?? 0).map((name) => cluster.startWorker(name)));
      return cluster;
    } catch (error) {
      await endAll(children);
      throw error;
    }
  }

  /** Ends all processes at once: what they would say in parting is not what is tested. */
  async stop(): Promise<void> {
    await this.client.stop();
    await endAll(this.#children);
    const proxies = [...this.#networks.values()].flatMap(({ inbound, toCoordinator }) => [inbound, toCoordinator]);
    await Promise.all(proxies.map((proxy) => proxy.close()));
  }

  /** A PS node of that name, anew if there was one: it has no rows then. */
  async startPs(name: string): Promise<void> {
    const network = this.#networks.get(name) ?? (await this.#openNetwork(name));
    const { inbound, toCoordinator } = network;
    const args = ["--coordinator", toCoordinator.address, "--announce", inbound.address, "--port", "0", "--name", name];
    const child = spawn("ps", name, [...args, "--memory-max", "512m"]);
    this.#children.set(name, child);
    const { address } = await child.ready();
    inbound.targetPort = Number(new URL(address).port);
  }

  async startWorker(name: string): Promise<void> {
    const child = spawn("worker", name, ["--coordinator", this.address, "--name", name, "--device", "cpu"]);
    this.#children.set(name, child);
    await child.ready();
  }

  /** kill −9 */
  async kill(name: string): Promise<void> {
    const child = this.#child(name);
    child.kill();
    await child.ended;
  }

  /** SIGSTOP: it keeps its connections and says nothing. */
  freeze(name: string): void {
    process.kill(this.#child(name).pid!, "SIGSTOP");
  }

  thaw(name: string): void {
    process.kill(this.#child(name).pid!, "SIGCONT");
  }

  /** Ends it as Ctrl-C does. */
  async end(name: string): Promise<void> {
    await this.#child(name).stop();
  }

  networkOf(name: string): Network {
    return this.#networks.get(name)!;
  }

  /** Waits until the coordinator says so; what it says wrongly for ever ends with the test's time. */
  async until(holds: (status: ClusterStatus) => boolean): Promise<void> {
    while (!holds(await this.client.status())) await delay(LOOK_EVERY_MS);
  }

  /** Waits until every partition has all its replicas, on so many nodes, and nothing moves. */
  untilWhole({ nodes }: { nodes: number }): Promise<void> {
    return this.until((status) => status.nodes.length === nodes && isWhole(status));
  }

  /** Waits until the others have taken a lost node's partitions over. */
  untilTakenOver(name: string): Promise<void> {
    return this.until(({ nodes }) => !nodes.some((node) => node.name === name && node.partitions > 0));
  }

  async #openNetwork(name: string): Promise<Network> {
    const coordinatorPort = Number(new URL(this.address).port);
    const network = { inbound: await TcpProxy.start(), toCoordinator: await TcpProxy.start(coordinatorPort) };
    this.#networks.set(name, network);
    return network;
  }

  #child(name: string): ChildRole {
    return this.#children.get(name)!;
  }
}

export function isWhole({ chains }: ClusterStatus): boolean {
  return chains.short === 0 && chains.moving === 0;
}

function spawn(role: RoleName, name: string, args: readonly string[]): ChildRole {
  return new ChildRole({ role, name, command: volaryCommand(role, "--machine", "--host", "127.0.0.1", ...args) });
}

async function endAll(children: ReadonlyMap<string, ChildRole>): Promise<void> {
  for (const child of children.values()) child.kill();
  await Promise.all(Array.from(children.values(), (child) => child.ended));
}

const names = (role: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);
