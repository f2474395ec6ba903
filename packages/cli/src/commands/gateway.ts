/** `volary gateway`: the one address of a cluster that volunteers reach. */
import { hostname } from "node:os";
import { Command } from "commander";
import {
  coordinatorOption,
  example,
  gatewayOriginOption,
  GATEWAY_PORT,
  hostOption,
  machineOption,
  portOf,
  trustProxyOption,
  urlOf,
} from "../options.ts";
import { openOwnPages } from "../cluster/pages.ts";
import { runRole } from "../cluster/role-process.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  url?: string;
  origin?: string[];
  trustProxy?: true;
  name?: string;
  machine?: true;
}

export function gatewayCommand(): Command {
  return new Command("gateway")
    .description("run a gateway, which lets volunteers in and passes on what they compute")
    .addOption(coordinatorOption())
    .addOption(hostOption())
    .option("--port <port>", "port to listen on; 0 takes a free one", portOf, GATEWAY_PORT)
    .option("--url <url>", "https://host as volunteers know it, if not where it listens: behind a proxy", urlOf)
    .addOption(gatewayOriginOption("--origin"))
    .addOption(trustProxyOption())
    .option("--name <name>", "name in the cluster (default: the host's name and the process's number)")
    .addOption(machineOption())
    .addHelpText(
      "after",
      example("volary gateway --coordinator ws://10.0.0.1:7171 --url https://help.example.org --trust-proxy"),
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { coordinator, host, port, url, origin: origins, trustProxy, machine } = options;
  const { name = `gateway-${hostname()}-${process.pid}` } = options;
  await runRole({
    name,
    mode: machine ? "machine" : "person",
    start: async (log) => {
      const { startGateway } = await import("@volary/ps-server");
      const pages = await openOwnPages(log);
      const gateway = await startGateway({ coordinator, host, port, url, pages, origins, trustProxy, name, log });
      return {
        ready: { role: "gateway", name, address: gateway.address, gateway: gateway.url },
        announcement: `gateway at ${gateway.url} for the cluster of ${coordinator}; Ctrl-C ends it`,
        stop: gateway.stop,
        closed: gateway.closed,
      };
    },
  });
}
