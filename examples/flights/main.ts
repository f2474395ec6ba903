/**
 * The demo of `npm start`: on a cluster of 1 coordinator, 2 PS and 2 workers, trains a linear baseline and a net on
 * three million flights, compares them on days that neither has seen, and saves the net.
 *
 * Whoever opens a link that it prints, on this machine, helps with a browser tab. --keep leaves the cluster and its
 * dashboard up at the end; --json ends with one JSON line.
 */
import { availableParallelism, cpus, totalmem } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Cluster, progressScreen, type Run } from "volary";
import baseline from "./baseline.ts";
import net from "./job.ts";

const SAVE_FOLDER = path.join("runs", "flights");

/** Trains one job and shows how it goes; whoever calls closes the run. */
async function train(cluster: Cluster, job: typeof net): Promise<Run> {
  const screen = progressScreen();
  let invited: Promise<void> | undefined;
  try {
    const run = await cluster.train(job, {
      ...screen,
      onStatus: (status) => {
        screen.onStatus(status);
        if (status.phase === "training") invited ??= inviteHelp(cluster, { job, note: (text) => screen.note(text) });
      },
    });
    await invited;
    screen.end(run.status);
    return run;
  } finally {
    screen.end();
  }
}

/** Prints a link by which a browser tab on this machine may help. */
async function inviteHelp(
  cluster: Cluster,
  { job, note }: { job: typeof net; note: (text: string) => void },
): Promise<void> {
  const asked = { by: "npm start on this machine", about: "Will a flight that leaves now arrive late?" };
  try {
    const { links } = await cluster.invite({ ...asked, job: job.name });
    note(`help with a browser tab: ${links[0]}`);
  } catch (error) {
    note(`no tab can help: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** What a reader may conclude, whichever way it went. */
function comparison({ auc, baselineAuc }: { auc: number; baselineAuc: number }): string {
  const difference = auc - baselineAuc;
  const verdict =
    difference > 0
      ? `the net is better by ${difference.toFixed(4)}`
      : `the net is no better (${difference.toFixed(4)})`;
  return [
    "Will a flight that leaves now arrive 15 minutes late or more? AUC on the last days, which neither model saw:",
    `  logistic regression, 3 epochs   ${baselineAuc.toFixed(4)}`,
    `  net, 1 epoch                    ${auc.toFixed(4)}   ${verdict}`,
  ].join("\n");
}

function machine() {
  const { node } = process.versions;
  const { platform, arch } = process;
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform,
    arch,
    node,
  };
}

const untilInterrupted = () => new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { keep: { type: "boolean" }, json: { type: "boolean" } } });
  console.error("starting a cluster on this machine: 1 coordinator, 2 PS, 2 workers");
  const cluster = await Cluster.local({ ps: 2, workers: 2, baseDir: import.meta.dirname });
  try {
    console.error(`watch it at ${cluster.dashboard}`);
    const linear = await train(cluster, baseline);
    const baselineAuc = linear.metrics["auc"]!;
    linear.close();

    const run = await train(cluster, net);
    const auc = run.metrics["auc"]!;
    const { trainSeconds, samplesPerSecond } = run;
    const { bytes } = await run.usage();
    const { rows } = await run.save(SAVE_FOLDER);
    run.close();

    console.error(`\n${comparison({ auc, baselineAuc })}\n\nThe net is saved in ${SAVE_FOLDER}.`);
    if (values.keep) {
      console.error(
        `The cluster is still up at ${cluster.address}, its dashboard at ${cluster.dashboard}; Ctrl-C ends it.`,
      );
      await untilInterrupted();
    }
    if (values.json) {
      const metrics = { auc, baselineAuc, trainSeconds, samplesPerSecond, rows, bytes };
      console.log(JSON.stringify({ name: "flights", metrics, machine: machine() }));
    }
  } finally {
    await cluster.stop();
  }
}

try {
  await main();
} catch (error) {
  if (process.env["VOLARY_DEBUG"]) throw error;
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
