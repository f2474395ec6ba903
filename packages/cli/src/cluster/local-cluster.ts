/**
 * A whole cluster on this machine's loopback: coordinator, PS nodes and workers, each a process of this command.
 * It restarts nothing; the cluster's own rules say what a death means.
 */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeviceName } from "@volary/node-worker";
import { pluginPath, type PluginFile } from "../plugin-file.ts";
import { ChildRole, type ChildRoleOptions, type Ending, type LogEntry, type RoleName } from "./child-role.ts";

export interface LocalClusterOptions {
  /** Parameter servers, at least 1. */
  ps: number;
  /** At least 1. */
  workers: number;
  /** PS nodes that hold each row, as far as there are so many; 1 unless said otherwise. */
  replicas?: number | undefined;
  /** Device of every worker: "auto" unless said otherwise. */
  device?: DeviceName | "auto" | undefined;
  /** Where relative data paths and npm data packages are looked for; this process's folder unless said otherwise. */
  baseDir?: string | undefined;
  /** Seed of random delays of every message that a worker sends or gets; for tests. */
  delayMessages?: number | undefined;
  /** Plugin files that every PS node and worker loads. */
  plugins?: readonly PluginFile[] | undefined;
  /** Memory of all PS nodes together; three quarters of what there is unless said otherwise. */
  memoryMaxBytes?: number | undefined;
  /** Folder for rows that memory has no room for. */
  spillFolder?: string | undefined;
  /** Of the coordinator; a free one unless said otherwise. */
  port?: number | undefined;
  /** Of the gateway for volunteers, in the coordinator's process; a free one unless said otherwise. */
  gatewayPort?: number | undefined;
  /** Every worker lets volunteers of trusted jobs sum gradients among themselves; none does unless said otherwise. */
  groups?: boolean | undefined;
  /** Every line that a process of the cluster prints. */
  log?: ((entry: LogEntry) => void) | undefined;
  /** A process ended unasked. */
  onDeath?: ((death: Death) => void) | undefined;
  /** Gives up starting. */
  signal?: AbortSignal | undefined;
}

export interface Death extends Ending {
  readonly role: RoleName;
  readonly name: string;
}

/** One process of a local cluster. */
export type ClusterProcess = Pick<ChildRole, "role" | "name" | "pid">;

/** More than a machine has any use for, so that a slip of the finger does not fork 20,000 processes. */
export const PROCESSES_MAX = 256;
/** Every replica costs the memory of its rows, and the time of their pushes. */
export const REPLICAS_MAX = 8;
const SOURCE_CONDITION = "--conditions=volary-source";
const HOST = "127.0.0.1";

export class LocalCluster {
  /** Of the coordinator, ws://… */
  readonly address: string;
  /** Where volunteers on this machine reach it, http://… */
  readonly gateway: string;
  readonly #children: ChildRole[];
  readonly #killOnExit: () => void;

  /** Use {@link LocalCluster.start}. */
  constructor({
    address,
    gateway,
    children,
    killOnExit,
  }: {
    address: string;
    gateway: string;
    children: ChildRole[];
    killOnExit: () => void;
  }) {
    this.address = address;
    this.gateway = gateway;
    this.#children = children;
    this.#killOnExit = killOnExit;
  }

  /**
   * Starts every process and resolves when all are ready.
   *
   * @throws {RangeError} impossible numbers
   * @throws {UserError} a process ended or stayed silent; those that had started are ended
   */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const { ps, workers, replicas = 1, port = 0, gatewayPort = 0, signal } = options;
    checkCount("ps", ps, PROCESSES_MAX);
    checkCount("workers", workers, PROCESSES_MAX);
    checkCount("replicas", replicas, REPLICAS_MAX);
    const children: ChildRole[] = [];
    const killOnExit = () => children.forEach((child) => child.kill());
    process.on("exit", killOnExit);
    signal?.addEventListener("abort", killOnExit);
    const spawn = (role: RoleName, name: string, args: readonly string[]) => {
      const child = new ChildRole(childOptions({ role, name, args, options }));
      children.push(child);
      return child.ready();
    };
    try {
      signal?.throwIfAborted();
      const ports = ["--port", String(port), "--gateway-port", String(gatewayPort)];
      const coordinator = ["--host", HOST, ...ports, "--replicas", String(replicas)];
      const { address, gateway = "" } = await spawn("coordinator", "coordinator", coordinator);
      const to = ["--coordinator", address, "--host", HOST, ...pluginArgs(options)];
      const own = ["--device", options.device ?? "auto", "--base-dir", options.baseDir ?? process.cwd()];
      if (options.groups) own.push("--groups");
      await Promise.all(
        names("ps", ps).map((name) => spawn("ps", name, [...to, ...memoryArgs(options), "--name", name])),
      );
      await Promise.all(
        names("worker", workers).map((name, i) =>
          spawn("worker", name, [...to, ...own, ...delaysOf(options, i), "--name", name]),
        ),
      );
      // Until now a death was a failure to start, which is thrown.
      if (options.onDeath) for (const child of children) reportDeath(child, options.onDeath);
      return new LocalCluster({ address, gateway, children, killOnExit });
    } catch (error) {
      await Promise.all(children.map((child) => child.stop()));
      process.off("exit", killOnExit);
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", killOnExit);
    }
  }

  get processes(): readonly ClusterProcess[] {
    return this.#children.map(({ role, name, pid }) => ({ role, name, pid }));
  }

  /** Workers first, so that nothing they say is lost, the coordinator last. */
  async stop(): Promise<void> {
    for (const role of ["worker", "ps", "coordinator"] satisfies RoleName[]) {
      await Promise.all(this.#children.filter((child) => child.role === role).map((child) => child.stop()));
    }
    process.off("exit", this.#killOnExit);
  }

  /** Ends every process at once. */
  kill(): void {
    this.#killOnExit();
  }
}

/** What went wrong with a process that ended unasked, and what it said last. */
export function deathText({ name, how, lastLines }: Death): string {
  const last = lastLines.length === 0 ? "it said nothing" : `its last lines:\n  ${lastLines.slice(-5).join("\n  ")}`;
  return `${name} ended unexpectedly (${how}); ${last}`;
}

/**
 * Node's own flags for a child: this process's, less those that belong to one process alone. Source files run
 * their dependencies from source too.
 */
export function childExecArgv(execArgv: readonly string[], { fromSource }: { fromSource: boolean }): string[] {
  const kept: string[] = [];
  for (let i = 0; i < execArgv.length; i++) {
    const flag = execArgv[i]!;
    if (/^(-e|-p|-pe|--eval|--print|--input-type)$/.test(flag)) i++;
    else if (!/^(--eval=|--print=|--input-type=|--inspect|--test|--watch)/.test(flag)) kept.push(flag);
  }
  if (fromSource && !kept.includes(SOURCE_CONDITION)) kept.push(SOURCE_CONDITION);
  return kept;
}

function childOptions(of: {
  role: RoleName;
  name: string;
  args: readonly string[];
  options: LocalClusterOptions;
}): ChildRoleOptions {
  const { role, name, args, options } = of;
  const extension = extname(import.meta.url);
  const flags = childExecArgv(process.execArgv, { fromSource: extension === ".ts" });
  const main = fileURLToPath(new URL(`../main${extension}`, import.meta.url));
  return {
    role,
    name,
    command: [process.execPath, ...flags, main, role, "--machine", ...args],
    log: options.log,
  };
}

const pluginArgs = ({ plugins = [] }: LocalClusterOptions): string[] =>
  plugins.flatMap((file) => ["--plugin", pluginPath(file)]);

/** An equal part for each PS node. */
const memoryArgs = ({ ps, memoryMaxBytes, spillFolder }: LocalClusterOptions): string[] => [
  ...(memoryMaxBytes === undefined
    ? ["--nodes", String(ps)]
    : ["--memory-max", String(Math.floor(memoryMaxBytes / ps))]),
  ...(spillFolder === undefined ? [] : ["--spill", spillFolder]),
];

/** A seed of its own for each worker. */
const delaysOf = ({ delayMessages }: LocalClusterOptions, worker: number): string[] =>
  delayMessages === undefined ? [] : ["--delay-messages", String(delayMessages + worker)];

function reportDeath(child: ChildRole, onDeath: (death: Death) => void): void {
  void child.ended.then((ending) => {
    if (!ending.wasAsked) onDeath({ role: child.role, name: child.name, ...ending });
  });
}

const names = (role: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);

function checkCount(what: "ps" | "workers" | "replicas", count: number, max: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= max) return;
  throw new RangeError(`a local cluster with ${what}: ${count} is not possible; give a whole number from 1 to ${max}`);
}
