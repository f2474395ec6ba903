/** `volary coordinator`: the process that members, jobs and clients meet at. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { CoordinatorStore, RunningCoordinator, RunningGateway } from "@volary/ps-server";
import { Command } from "commander";
import {
  example,
  gatewayOriginOption,
  hostOption,
  keyBitsOf,
  machineOption,
  PORT,
  portOf,
  replicasOption,
  trustProxyOption,
  urlOf,
} from "../options.ts";
import { openOwnPages } from "../cluster/pages.ts";
import { runRole, type RoleLog } from "../cluster/role-process.ts";
import { messageOf, UserError } from "../user-error.ts";

interface Options {
  host: string;
  port: number;
  state?: string;
  partitionRange?: number;
  replicas: number;
  gatewayPort?: number;
  gatewayUrl?: string;
  gatewayOrigin?: string[];
  trustProxy?: true;
  machine?: true;
}

export function coordinatorCommand(): Command {
  return new Command("coordinator")
    .description("run a cluster's coordinator: members, partition map, jobs")
    .option("--port <port>", "port to listen on, also for the dashboard; 0 takes a free one", portOf, PORT)
    .addOption(hostOption())
    .addOption(replicasOption(2))
    .option("--state <folder>", "keep state in a database in this folder; otherwise it is lost at the end")
    .option(
      "--partition-range <bits>",
      "place keys by range, for keys below 2^bits, instead of by hash: neighbours stay together",
      keyBitsOf,
    )
    .option("--gateway-port <port>", "run a gateway for volunteers, too, on this port; 0 takes a free one", portOf)
    .option("--gateway-url <url>", "https://host of that gateway as volunteers know it: behind a proxy", urlOf)
    .addOption(gatewayOriginOption("--gateway-origin"))
    .addOption(trustProxyOption())
    .addOption(machineOption())
    .addHelpText(
      "after",
      example(
        "volary coordinator --host 0.0.0.0 --state /var/lib/volary",
        "volary coordinator --host 0.0.0.0 --replicas 3   # two PS nodes may be lost at once",
        "volary coordinator --gateway-port 7272 --gateway-url https://help.example.org",
      ),
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { host, port, state, partitionRange, replicas, machine } = options;
  await runRole({
    name: "coordinator",
    mode: machine ? "machine" : "person",
    start: async (log) => {
      const { startCoordinator } = await import("@volary/ps-server");
      const placement =
        partitionRange === undefined ? {} : { partitionFunction: { kind: "range", keyBits: partitionRange } as const };
      const pages = await openOwnPages(log);
      const store = await openStore(state);
      const coordinator = await startCoordinator({ host, port, replicas, store, log, pages, ...placement });
      const { address, closed } = coordinator;
      const gateway = await openGateway({ coordinator, pages, log, options });
      return {
        ready: { role: "coordinator", name: "coordinator", address, ...(gateway ? { gateway: gateway.url } : {}) },
        announcement:
          `coordinator at ${address}, dashboard at ${dashboardOf(address)}, ` +
          (gateway ? `gateway for volunteers at ${gateway.url}, ` : "") +
          `${state === undefined ? "state in memory only (--state FOLDER keeps it)" : `state in ${state}`}; Ctrl-C ends it`,
        stop: async () => {
          await gateway?.stop();
          await coordinator.stop();
        },
        closed: gateway ? Promise.race([closed, gateway.closed]) : closed,
      };
    },
  });
}

/** A gateway in this process, where one is wanted; the coordinator ends if that fails. */
async function openGateway(o: {
  coordinator: RunningCoordinator;
  pages: Awaited<ReturnType<typeof openOwnPages>>;
  log: RoleLog;
  options: Options;
}): Promise<RunningGateway | undefined> {
  const { coordinator, pages, log } = o;
  const { host, gatewayPort: port, gatewayUrl: url, gatewayOrigin: origins, trustProxy } = o.options;
  if (port === undefined) {
    if (url === undefined) return undefined;
    throw new UserError("--gateway-url names a gateway that does not run; say its port with --gateway-port");
  }
  const { startGateway } = await import("@volary/ps-server");
  try {
    const to = { coordinator: coordinator.address, name: "gateway-1" };
    return await startGateway({ ...to, host, port, url, pages, origins, trustProxy, log });
  } catch (error) {
    await coordinator.stop();
    throw error;
  }
}

async function openStore(folder: string | undefined): Promise<CoordinatorStore> {
  const { memoryStore, sqliteStore } = await import("@volary/ps-server");
  if (folder === undefined) return memoryStore();
  try {
    await mkdir(folder, { recursive: true });
    return await sqliteStore(path.join(folder, "coordinator.sqlite"));
  } catch (cause) {
    throw new UserError(`cannot keep state in ${folder}: ${messageOf(cause)}; give a folder that you may write to`, {
      cause,
    });
  }
}

/** The page for operators, which the coordinator hands out itself. */
const dashboardOf = (address: string): string => `${address.replace(/^ws/, "http")}/`;
