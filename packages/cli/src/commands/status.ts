/** `volary status`: who is in the cluster and what its jobs do. */
import { bytesText, clockText, grouped, plural, short } from "@volary/core/figures";
import type { ClusterStatus, GatewayStatus, JobStatus, LeafStatus } from "@volary/core/wire";
import { Command } from "commander";
import { Cluster } from "../cluster/cluster.ts";
import { batchesTexts } from "../screen/batches-text.ts";
import { coordinatorOption, example } from "../options.ts";
import { plainText } from "../screen/terminal-text.ts";
import { textTable } from "../screen/text-table.ts";

export function statusCommand(): Command {
  return new Command("status")
    .description("show a cluster's parameter servers, chains of replicas, workers, volunteers and jobs")
    .addOption(coordinatorOption())
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      example(
        "volary status --coordinator ws://10.0.0.1:7171",
        "volary status --json | jq .chains   # whole, short, moving",
      ),
    )
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

/** The status as three tables, and a line about chains. */
export function statusText(status: ClusterStatus): string {
  const { nodes, workers, jobs } = status;
  const nameOf = new Map(jobs.map(({ job, name }) => [job, name]));
  const sections = [
    nodes.length === 0
      ? "no PS nodes; start one with `volary ps`"
      : textTable(
          ["PS NODE", "ADDRESS", "HEADS", "REPLICAS", "ROWS/S", "ROWS", "ON DISK", "MEMORY"],
          nodes.map(nodeRow),
        ),
    ...(nodes.length === 0 ? [] : [chainsText(status)]),
    workers.length === 0
      ? "no workers; start one with `volary worker`"
      : textTable(
          ["WORKER", "BACKEND", "JOB", "VOLUNTEERS"],
          workers.map(({ name, backend, job, leaves }) => [
            name,
            backend,
            job === null ? "idle" : `${job} ${nameOf.get(job) ?? ""}`,
            leaves?.length ?? "–",
          ]),
        ),
    ...volunteersText(status),
    jobs.length === 0
      ? "no jobs yet; start one with `volary train job.ts --coordinator ADDRESS`"
      : textTable(["JOB", "NAME", "PHASE", "STEP", "LOSS", "WORKERS", "TIME", "HELD OUT"], jobs.map(jobRow)),
    ...batchesText(jobs),
  ];
  return sections.join("\n\n");
}

/** HEADS are partitions whose requests the node takes, REPLICAS those it holds another copy of. */
function nodeRow(node: ClusterStatus["nodes"][number]): (string | number)[] {
  const { name, address, alive, draining, partitions, replicas, load, rows, diskRows, bytes, bytesMax } = node;
  const state = !alive ? " (silent)" : draining ? " (draining)" : "";
  return [
    `${name}${state}`,
    address,
    partitions,
    replicas,
    load === undefined ? "–" : short(Math.round(load)),
    rows,
    diskRows ?? "–",
    bytesMax === undefined ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(bytesMax)}`,
  ];
}

/** How safe rows are, and what has moved since the coordinator began. */
function chainsText({ chains, failovers, moves, overrides }: ClusterStatus): string {
  const { whole, short: lacking, moving } = chains;
  const now = [`${plural(whole, "partition")} with all replicas`];
  if (lacking > 0) now.push(`${grouped(lacking)} that lack one`);
  if (moving > 0) now.push(`${grouped(moving)} on the move`);
  return (
    `CHAINS  ${now.join(", ")}; so far ${plural(failovers, "head")} taken over from lost nodes, ` +
    `${plural(moves, "move")}, ${grouped(overrides)} placed by load`
  );
}

/** Who came by invitation, what each of those who are here does, and where they come in; nothing where none can. */
function volunteersText({ workers, gateways = [], volunteers }: ClusterStatus): string[] {
  if (!volunteers || (gateways.length === 0 && volunteers.invited === 0)) return [];
  const { invited, redeemed, sessions, observers, expelled } = volunteers;
  const counts = [`${grouped(invited)} invited`, `${grouped(redeemed)} came`, `${grouped(sessions)} may compute now`];
  if (observers > 0) counts.push(`${grouped(observers)} may watch`);
  if (expelled > 0) counts.push(`${grouped(expelled)} expelled`);
  const leaves = workers.flatMap(({ name, leaves: own = [] }) => own.map((leaf) => ({ ...leaf, of: name })));
  const all = [`VOLUNTEERS  ${counts.join(", ")}`];
  if (leaves.length > 0)
    all.push(
      textTable(["VOLUNTEER", "DEVICE", "STATE", "OF", "SAMPLES", "PER S", "LATE", "REFUSED"], leaves.map(leafRow)),
    );
  if (gateways.length > 0) {
    const heads = ["GATEWAY", "CONNECTED", "IN", "OUT", "REFUSED"];
    all.push(textTable(heads, gateways.map(gatewayRow)));
  }
  return all;
}

function leafRow(leaf: LeafStatus & { of: string }): (string | number)[] {
  const { volunteer, device, state, of, samples, samplesPerSecond, late, refused } = leaf;
  return [
    volunteer,
    device,
    state,
    of,
    grouped(samples),
    short(Math.round(samplesPerSecond)),
    late,
    countsText(refused),
  ];
}

function gatewayRow({ url, connected, bytesIn, bytesOut, refused }: GatewayStatus): (string | number)[] {
  return [url, connected, bytesText(bytesIn), bytesText(bytesOut), countsText(refused)];
}

const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([code, count]) => `${grouped(count)} ${code}`)
    .join(", ") || "–";

/** A line for each job whose batches the coordinator gives out, if there is one. */
function batchesText(jobs: readonly JobStatus[]): string[] {
  const given = jobs.filter(({ batches }) => batches);
  const lines = given.map((job) => `BATCHES  ${job.job} ${plainText(job.name)}: ${batchesTexts(job).join(", ")}`);
  return lines.length === 0 ? [] : [lines.join("\n")];
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
