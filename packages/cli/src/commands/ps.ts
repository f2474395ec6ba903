/** `volary ps`: one parameter server. */
import { hostname } from "node:os";
import { Command } from "commander";
import { growHeapWithArrays } from "../cluster/heap-limit.ts";
import { coordinatorOption, example, hostOption, machineOption, pluginOption, portOf } from "../options.ts";
import { runRole } from "../cluster/role-process.ts";
import { loadPlugins } from "../plugin-file.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  name?: string;
  plugin?: string[];
  machine?: true;
}

export function psCommand(): Command {
  return new Command("ps")
    .description("run a parameter server, which holds embedding rows")
    .addOption(coordinatorOption())
    .addOption(hostOption())
    .option("--port <port>", "port to listen on; 0 takes a free one", portOf, 0)
    .option("--name <name>", "name in the cluster (default: the host's name and the process's number)")
    .addOption(pluginOption("server updates"))
    .addOption(machineOption())
    .addHelpText("after", example("volary ps --coordinator ws://10.0.0.1:7171 --host 10.0.0.2"))
    .action(run);
}

async function run({
  coordinator,
  host,
  port,
  name = `${hostname()}-${process.pid}`,
  plugin = [],
  machine,
}: Options): Promise<void> {
  growHeapWithArrays();
  await runRole({
    name,
    mode: machine ? "machine" : "person",
    start: async (log) => {
      const plugins = await loadPlugins(plugin);
      const { startPsServer } = await import("@volary/ps-server");
      const { address, stop, closed } = await startPsServer({ coordinator, host, port, name, log, plugins });
      return {
        ready: { role: "ps", name, address },
        announcement: `PS node ${name} at ${address} serves the cluster of ${coordinator}; Ctrl-C ends it`,
        stop,
        closed,
      };
    },
  });
}
