/** `volary coordinator`: the process that members, jobs and clients meet at. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { CoordinatorStore } from "@volary/ps-server";
import { Command } from "commander";
import { example, hostOption, keyBitsOf, machineOption, PORT, portOf, replicasOption } from "../options.ts";
import { runRole } from "../cluster/role-process.ts";
import { messageOf, UserError } from "../user-error.ts";

interface Options {
  host: string;
  port: number;
  state?: string;
  partitionRange?: number;
  replicas: number;
  machine?: true;
}

export function coordinatorCommand(): Command {
  return new Command("coordinator")
    .description("run a cluster's coordinator: members, partition map, jobs")
    .option("--port <port>", "port to listen on; 0 takes a free one", portOf, PORT)
    .addOption(hostOption())
    .addOption(replicasOption(2))
    .option("--state <folder>", "keep state in a database in this folder; otherwise it is lost at the end")
    .option(
      "--partition-range <bits>",
      "place keys by range, for keys below 2^bits, instead of by hash: neighbours stay together",
      keyBitsOf,
    )
    .addOption(machineOption())
    .addHelpText(
      "after",
      example(
        "volary coordinator --host 0.0.0.0 --state /var/lib/volary",
        "volary coordinator --host 0.0.0.0 --replicas 3   # two PS nodes may be lost at once",
      ),
    )
    .action(run);
}

async function run({ host, port, state, partitionRange, replicas, machine }: Options): Promise<void> {
  await runRole({
    name: "coordinator",
    mode: machine ? "machine" : "person",
    start: async (log) => {
      const { startCoordinator } = await import("@volary/ps-server");
      const placement =
        partitionRange === undefined ? {} : { partitionFunction: { kind: "range", keyBits: partitionRange } as const };
      const store = await openStore(state);
      const { address, stop, closed } = await startCoordinator({ host, port, replicas, store, log, ...placement });
      return {
        ready: { role: "coordinator", name: "coordinator", address },
        announcement:
          `coordinator at ${address}, ` +
          `${state === undefined ? "state in memory only (--state FOLDER keeps it)" : `state in ${state}`}; Ctrl-C ends it`,
        stop,
        closed,
      };
    },
  });
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
