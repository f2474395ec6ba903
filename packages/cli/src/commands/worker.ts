/** `volary worker`: one worker, on the device that is fastest here or the one asked for. */
import { hostname } from "node:os";
import type { DeviceName } from "@volary/node-worker";
import { LIMITS } from "@volary/core/limits";
import type { IceServer } from "@volary/core/training";
import type { Link } from "@volary/core/wire";
import { Command, InvalidArgumentError, Option } from "commander";
import { growHeapWithArrays } from "../cluster/heap-limit.ts";
import {
  baseDirOption,
  coordinatorOption,
  deviceOption,
  gpusOption,
  groupsOption,
  example,
  hostOption,
  machineOption,
  pluginOption,
  portOf,
  trustedNetworkOption,
} from "../options.ts";
import { realClock } from "../cluster/dialer.ts";
import { runPerGpu } from "../cluster/gpu-workers.ts";
import { runRole, type RoleLog } from "../cluster/role-process.ts";
import { loadPlugins } from "../plugin-file.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  name?: string;
  device: DeviceName | "auto";
  devices?: number[];
  baseDir?: string;
  plugin?: string[];
  trustedNetwork?: true;
  leaves: number;
  combine: Combine;
  audit: number;
  groups?: true;
  iceServer?: IceServer[];
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
    .addOption(gpusOption().conflicts("device"))
    .addOption(baseDirOption())
    .addOption(pluginOption("training functions or layers"))
    .addOption(trustedNetworkOption())
    .option("--leaves <count>", "volunteers that it takes; 0 takes none", leavesOf, 64)
    .addOption(combineOption())
    .option("--audit <share>", "share of volunteers' updates that are computed again, to catch cheaters", auditOf, 0.05)
    .addOption(groupsOption())
    .addOption(iceServerOption())
    .addOption(delayOption())
    .addOption(machineOption())
    .addHelpText(
      "after",
      example(
        "volary worker --coordinator ws://10.0.0.1:7171 --host 10.0.0.3 --device cuda",
        "volary worker --coordinator ws://10.0.0.1:7171 --host 10.0.0.3 --devices 0,1",
        "volary worker --coordinator ws://10.0.0.1:7171 --host 10.0.0.3 --leaves 0   # no volunteers",
      ),
    )
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
    leaves: leavesMax,
    combine,
    audit,
    groups,
    iceServer: iceServers = [],
    delayMessages,
    machine,
  } = options;
  if (options.devices !== undefined)
    return runPerGpu({ gpus: options.devices, name, port, args: process.argv.slice(3) });
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
        volunteers: { leavesMax, combine, audit },
        ...(groups ? { groups: { iceServers } } : {}),
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

const COMBINE = ["centered-clip", "trimmed-mean", "mean"] as const;
type Combine = (typeof COMBINE)[number];

const combineOption = (): Option =>
  new Option(
    "--combine <rule>",
    "how volunteers' gradients become one; mean trusts all of them, the others bear with some that lie",
  )
    .choices(COMBINE)
    .default("centered-clip");

function leavesOf(text: string): number {
  const leaves = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  if (leaves <= LIMITS.leavesMax) return leaves;
  throw new InvalidArgumentError(`Give a whole number from 0 to ${LIMITS.leavesMax}.`);
}

function auditOf(text: string): number {
  const share = /^[01]?(\.\d{1,9})?$/.test(text) && text !== "" ? Number(text) : 2;
  if (share <= 1) return share;
  throw new InvalidArgumentError("Give a share from 0 to 1, as 0.05.");
}

const iceServerOption = (): Option =>
  new Option(
    "--ice-server <url>",
    "stun:host:port, or turn:user:password@host:port, that helps volunteers of a group to connect; repeat it for several",
  ).argParser((text, servers: IceServer[] | undefined) => [...(servers ?? []), iceServerOf(text)]);

function iceServerOf(text: string): IceServer {
  const [, kind, username, credential, host] = /^(stun|turns?):(?:([^:@]+):([^@]*)@)?([^@\s]+)$/.exec(text) ?? [];
  if (kind === undefined || host === undefined) {
    throw new InvalidArgumentError("Give stun:host:port or turn:user:password@host:port.");
  }
  const url = `${kind}:${host}`;
  return username === undefined ? { url } : { url, username, credential: credential ?? "" };
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
