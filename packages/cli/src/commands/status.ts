/** `volary status`: who is in the cluster and what its jobs do. */
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { Command } from "commander";
import { Cluster } from "../cluster/cluster.ts";
import { bytesText, clockText, grouped } from "../screen/figures.ts";
import { coordinatorOption, example } from "../options.ts";
import { textTable } from "../screen/text-table.ts";

export function statusCommand(): Command {
  return new Command("status")
    .description("show a cluster's parameter servers, workers and jobs")
    .addOption(coordinatorOption())
    .option("--json", "print one JSON object")
    .addHelpText("after", example("volary status --coordinator ws://10.0.0.1:7171"))
    .action(run);
}

async function run({ coordinator, json }: { coordinator: string; json?: true }): Promise<void> {
  const cluster = await Cluster.connect(coordinator);
  try {
    const status = await cluster.status();
    console.log(json ? JSON.stringify(status) : statusText(status));
  } finally {
    await cluster.stop();
  }
}

/** The status as three tables. */
export function statusText({ nodes, workers, jobs }: ClusterStatus): string {
  const nameOf = new Map(jobs.map(({ job, name }) => [job, name]));
  const sections = [
    nodes.length === 0
      ? "no PS nodes; start one with `volary ps`"
      : textTable(
          ["PS NODE", "ADDRESS", "PARTITIONS", "ROWS", "ON DISK", "MEMORY"],
          nodes.map(({ name, address, partitions, rows, diskRows, bytes, bytesMax }) => [
            name,
            address,
            partitions,
            rows,
            diskRows ?? "–",
            bytesMax === undefined ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(bytesMax)}`,
          ]),
        ),
    workers.length === 0
      ? "no workers; start one with `volary worker`"
      : textTable(
          ["WORKER", "BACKEND", "JOB"],
          workers.map(({ name, backend, job }) => [
            name,
            backend,
            job === null ? "idle" : `${job} ${nameOf.get(job) ?? ""}`,
          ]),
        ),
    jobs.length === 0
      ? "no jobs yet; start one with `volary train job.ts --coordinator ADDRESS`"
      : textTable(["JOB", "NAME", "PHASE", "STEP", "LOSS", "WORKERS", "TIME", "HELD OUT"], jobs.map(jobRow)),
  ];
  return sections.join("\n\n");
}

function jobRow(job: JobStatus): (string | number)[] {
  const { name, phase, message, step, steps, loss, workers, trainSeconds, metrics } = job;
  const held = Object.entries(metrics ?? {}).map(([metric, value]) => `${metric} ${value.toFixed(4)}`);
  return [
    job.job,
    name,
    message === undefined ? phase : `${phase}: ${message}`,
    `${grouped(step)}/${grouped(steps)}`,
    loss === null ? "–" : loss.toPrecision(4),
    workers,
    clockText(trainSeconds),
    held.join(", "),
  ];
}
