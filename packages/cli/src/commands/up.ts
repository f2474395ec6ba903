/** `volary up`: a local cluster that waits for jobs. */
import { Command } from "commander";
import type { LogEntry } from "../cluster/child-role.ts";
import { Cluster } from "../cluster/cluster.ts";
import { interruptible, untilAborted } from "../cluster/interrupt.ts";
import { logText } from "../screen/log-sinks.ts";
import {
  baseDirOption,
  countOf,
  deviceOption,
  example,
  groupsOption,
  memoryMaxOption,
  pluginOption,
  PORT,
  portOf,
  replicasOption,
  spillOption,
} from "../options.ts";
import type { DeviceName } from "@volary/node-worker";

interface Options {
  ps: number;
  workers: number;
  replicas: number;
  port: number;
  gatewayPort: number;
  groups?: true;
  device: DeviceName | "auto";
  baseDir?: string;
  memoryMax?: number;
  spill?: string;
  plugin?: string[];
  json?: true;
  verbose?: true;
}

export function upCommand(): Command {
  return new Command("up")
    .description("run a cluster on this machine that waits for jobs")
    .option("--ps <count>", "parameter servers", countOf, 2)
    .option("--workers <count>", "workers", countOf, 2)
    .addOption(replicasOption(1))
    .option("--port <port>", "port of the coordinator; 0 takes a free one", portOf, PORT)
    .option("--gateway-port <port>", "port of the gateway for volunteers; 0 takes a free one", portOf, 0)
    .addOption(groupsOption())
    .addOption(memoryMaxOption("the parameter servers together"))
    .addOption(spillOption())
    .addOption(deviceOption())
    .addOption(baseDirOption())
    .addOption(pluginOption("server updates, training functions or layers"))
    .option("--json", "print its address and processes as one JSON object")
    .option("--verbose", "show what every process says")
    .addHelpText(
      "after",
      example(
        "volary up --workers 4",
        "volary up --ps 3 --replicas 2",
        "volary train job.ts --coordinator ws://127.0.0.1:7171",
      ),
    )
    .action(run);
}

async function run({
  ps,
  workers,
  replicas,
  port,
  gatewayPort,
  groups,
  device,
  baseDir,
  memoryMax,
  spill,
  plugin,
  json,
  verbose,
}: Options): Promise<void> {
  let cluster: Cluster | undefined;
  await interruptible(
    async (signal) => {
      const log = verbose ? (entry: LogEntry) => console.error(logText(entry)) : undefined;
      const onWarning = (message: string) => console.error(message);
      cluster = await Cluster.local({
        ps,
        workers,
        replicas,
        port,
        gatewayPort,
        groups,
        device,
        baseDir,
        log,
        signal,
        onWarning,
        memoryMaxBytes: memoryMax,
        spillFolder: spill,
        plugins: plugin,
      });
      const { address, dashboard, gateway, processes } = cluster;
      if (json) console.log(JSON.stringify({ address, dashboard, gateway, processes }));
      else
        console.log(
          [
            `cluster of ${ps} PS and ${workers} workers at ${address}; Ctrl-C ends it`,
            "",
            `train on it:  volary train job.ts --coordinator ${address}`,
            `watch it:     ${dashboard}`,
            `invite help:  volary invite --coordinator ${address}`,
          ].join("\n"),
        );
      await untilAborted(signal);
      await cluster.stop();
    },
    { kill: () => cluster?.kill() },
  );
}
