/** `volary ps`: one parameter server, or several behind one port. */
import { fork } from "node:child_process";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { extname } from "node:path";
import { Command, Option } from "commander";
import { childExecArgv } from "../cluster/local-cluster.ts";
import {
  announceOption,
  coordinatorOption,
  countOf,
  example,
  hostOption,
  machineOption,
  memoryMaxOption,
  pluginOption,
  portOf,
  spillOption,
  trustedNetworkOption,
} from "../options.ts";
import { runRole, type RoleLog, type RunningRole } from "../cluster/role-process.ts";
import { loadPlugins, pluginPath } from "../plugin-file.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  name?: string;
  announce?: string;
  memoryMax?: number;
  spill?: string;
  processes: number;
  plugin?: string[];
  trustedNetwork?: true;
  machine?: true;
  /** Nodes that share this machine's memory, where nobody says how much each may take. */
  nodes: number;
  /** This is one of several behind the port of the process that started it. */
  behindParent?: true;
}

export function psCommand(): Command {
  return new Command("ps")
    .description("run a parameter server, which holds embedding rows")
    .addOption(coordinatorOption())
    .addOption(hostOption())
    .option("--port <port>", "port to listen on; 0 takes a free one", portOf, 0)
    .addOption(announceOption())
    .option("--name <name>", "name in the cluster (default: the host's name and the process's number)")
    .addOption(memoryMaxOption("rows and frames"))
    .addOption(spillOption())
    .option("--processes <count>", "nodes to run behind the port, each with its part of the memory", countOf, 1)
    .addOption(pluginOption("server updates"))
    .addOption(trustedNetworkOption())
    .addOption(machineOption())
    .addOption(new Option("--nodes <count>").argParser(countOf).default(1).hideHelp())
    .addOption(new Option("--behind-parent").hideHelp())
    .addHelpText(
      "after",
      example(
        "volary ps --coordinator ws://10.0.0.1:7171 --host 10.0.0.2",
        "volary ps --coordinator ws://10.0.0.1:7171 --host 10.0.0.2 --processes 8 --memory-max 48g --spill /mnt/nvme",
        "volary ps --coordinator ws://10.0.0.1:7171 --port 7172 --announce ws://ps.example.org:7172",
      ),
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const named = { ...options, name: options.name ?? `${hostname()}-${process.pid}` };
  await runRole({
    name: named.name,
    mode: options.machine ? "machine" : "person",
    start: (log) => (options.processes > 1 ? startProcesses(named, log) : startNode(named, log)),
  });
}

async function startNode(o: Options & { name: string }, log: RoleLog): Promise<RunningRole> {
  const { coordinator, host, port, announce, name, plugin = [], memoryMax, spill, trustedNetwork, nodes } = o;
  const plugins = await loadPlugins(plugin);
  const { defaultMemoryMax, openPsDoor, startPsServer } = await import("@volary/ps-server");
  const { address, stop, closed } = await startPsServer({
    coordinator,
    host,
    port,
    announce,
    name,
    memoryMaxBytes: memoryMax ?? Math.floor(defaultMemoryMax() / nodes),
    spillFolder: spill,
    trustedNetwork,
    door: o.behindParent && (await openPsDoor()),
    log: o.behindParent ? (message) => log(`${name}: ${message}`) : log,
    plugins,
  });
  return {
    ready: { role: "ps", name, address },
    announcement: `PS node ${name} at ${address} serves the cluster of ${coordinator}; Ctrl-C ends it`,
    stop,
    closed,
  };
}

async function startProcesses(o: Options & { name: string }, log: RoleLog): Promise<RunningRole> {
  const { coordinator, host, port, name, processes } = o;
  const { startPsProcesses } = await import("@volary/ps-server");
  const extension = extname(import.meta.url);
  const { address, stop, closed } = await startPsProcesses({
    processes,
    host,
    port,
    name,
    log,
    fork: (number) =>
      fork(fileURLToPath(new URL(`../main${extension}`, import.meta.url)), childArgs(o, number), {
        execArgv: childExecArgv(process.execArgv, { fromSource: extension === ".ts" }),
        // A child with --machine lives as long as its stdin is open; what it prints for its parent is for nobody here.
        stdio: ["pipe", "ignore", "inherit", "ipc"],
      }),
  });
  return {
    ready: { role: "ps", name, address },
    announcement: `${processes} PS nodes of ${name} at ${address} serve the cluster of ${coordinator}; Ctrl-C ends them`,
    stop,
    closed,
  };
}

/** Those of node 1, 2 … behind this process's port. */
function childArgs(o: Options & { name: string }, number: number): string[] {
  const { coordinator, announce, name, memoryMax, spill, processes, nodes, plugin = [], trustedNetwork, machine } = o;
  const memory =
    memoryMax === undefined
      ? ["--nodes", String(nodes * processes)]
      : ["--memory-max", String(Math.floor(memoryMax / processes))];
  return [
    "ps",
    "--behind-parent",
    "--coordinator",
    coordinator,
    "--name",
    `${name}-${number}`,
    ...memory,
    ...(announce === undefined ? [] : ["--announce", `${announce.replace(/\/$/, "")}/${number}`]),
    ...(spill === undefined ? [] : ["--spill", spill]),
    ...plugin.flatMap((file) => ["--plugin", pluginPath(file)]),
    ...(trustedNetwork ? ["--trusted-network"] : []),
    ...(machine ? ["--machine"] : []),
  ];
}
