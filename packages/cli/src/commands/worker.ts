/** `volary worker`: one worker, on the device that is fastest here or the one asked for. */
import { hostname } from "node:os";
import type { DeviceName } from "@volary/node-worker";
import { Command } from "commander";
import { coordinatorOption, deviceOption, example, hostOption, machineOption, portOf } from "../options.ts";
import { runRole } from "../role-process.ts";

interface Options {
  coordinator: string;
  host: string;
  port: number;
  name?: string;
  device: DeviceName | "auto";
  baseDir?: string;
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
    .option("--base-dir <folder>", "where a job's data files and npm data packages are looked for (default: this folder)")
    .addOption(machineOption())
    .addHelpText("after", example("volary worker --coordinator ws://10.0.0.1:7171 --host 10.0.0.3 --device cuda"))
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { coordinator, host, port, name = `${hostname()}-${process.pid}`, device, baseDir, machine } = options;
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
        ...(device === "auto" ? {} : { device }),
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
