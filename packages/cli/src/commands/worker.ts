/** `volary worker`: one worker, on the device that is fastest here or the one asked for. */
import { hostname } from "node:os";
import type { DeviceName } from "@volary/node-worker";
import type { Link } from "@volary/core/wire";
import { Command, Option } from "commander";
import { growHeapWithArrays } from "../cluster/heap-limit.ts";
import {
  baseDirOption,
  coordinatorOption,
  deviceOption,
  example,
  hostOption,
  machineOption,
  pluginOption,
  portOf,
  trustedNetworkOption,
} from "../options.ts";
import { realClock } from "../cluster/dialer.ts";
import { runRole, type RoleLog } from "../cluster/role-process.ts";
import { loadPlugins } from "../plugin-file.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  name?: string;
  device: DeviceName | "auto";
  baseDir?: string;
  plugin?: string[];
  trustedNetwork?: true;
  delayMessages?: number;
  machine?: true;
}

export function workerCommand(): Command {
  return new Command("worker")
    .description("run a worker, which reads data and computes gradients")
    .addOption(coordinatorOption())
    .addOption(hostOption())
    .option("--port <port>", "port that other workers reach this one by; 0 takes a free one", portOf, 0)
    .option("--name <name>", "name in the cluster (default: the host's name and the process's number)")
    .addOption(deviceOption())
    .addOption(baseDirOption())
    .addOption(pluginOption("training functions or layers"))
    .addOption(trustedNetworkOption())
    .addOption(delayOption())
    .addOption(machineOption())
    .addHelpText("after", example("volary worker --coordinator ws://10.0.0.1:7171 --host 10.0.0.3 --device cuda"))
    .action(run);
}

async function run(options: Options): Promise<void> {
  const {
    coordinator,
    host,
    port,
    name = `${hostname()}-${process.pid}`,
    device,
    baseDir,
    plugin = [],
    trustedNetwork,
    delayMessages,
    machine,
  } = options;
  growHeapWithArrays();
  await runRole({
    name,
    mode: machine ? "machine" : "person",
    start: async (log) => {
      const { startWorker } = await import("@volary/node-worker");
      const worker = await startWorker({
        coordinator,
        host,
        port,
        name,
        baseDirs: [...(baseDir === undefined ? [] : [baseDir]), process.cwd()],
        log,
        plugins: await loadPlugins(plugin),
        trustedNetwork,
        ...(device === "auto" ? {} : { device }),
        ...(delayMessages === undefined ? {} : { throughLink: await delays(delayMessages, log) }),
      });
      return {
        ready: { role: "worker", name, address: worker.address },
        announcement: `worker ${name} on ${worker.device} serves the cluster of ${coordinator}; Ctrl-C ends it`,
        stop: () => worker.stop(),
        closed: worker.closed,
      };
    },
  });
}

const DELAY_MAX_MS = 10;

/** For tests: results must not depend on when messages arrive. */
const delayOption = (): Option =>
  new Option("--delay-messages <seed>", `delay every message by up to ${DELAY_MAX_MS} ms`).argParser(Number).hideHelp();

async function delays(seed: number, log: RoleLog): Promise<(link: Link) => Link> {
  const { delayedLink, seededRandom } = await import("@volary/core/testing");
  log(`every message is delayed at random by up to ${DELAY_MAX_MS} ms, seed ${seed}`);
  const random = seededRandom(seed);
  return (link) => delayedLink(link, { clock: realClock, random, delayMaxMs: DELAY_MAX_MS });
}
