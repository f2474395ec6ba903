/** `volary train`: trains a job file on a cluster of its own, or on one that runs. */
import path from "node:path";
import { bytesText, grouped } from "@volary/core/figures";
import type { DeviceName } from "@volary/node-worker";
import { Command, Option } from "commander";
import { Cluster } from "../cluster/cluster.ts";
import { realClock } from "../cluster/dialer.ts";
import { interruptible } from "../cluster/interrupt.ts";
import { fileLog, logText, type LogSink } from "../screen/log-sinks.ts";
import {
  addressOf,
  countOf,
  deviceOption,
  example,
  memoryMaxOption,
  pluginOption,
  replicasOption,
  spillOption,
  trustedNetworkOption,
} from "../options.ts";
import { openRunRecorder } from "../report/run-recorder.ts";
import { progressScreen, type ProgressScreen } from "../screen/progress-screen.ts";
import type { Run } from "../cluster/run.ts";
import { prepareFolder, type SavedSize } from "../saved-model/saved-model.ts";
import { messageOf, UserError } from "../user-error.ts";

interface Options {
  ps: number;
  workers: number;
  replicas: number;
  device: DeviceName | "auto";
  memoryMax?: number;
  spill?: string;
  coordinator?: string;
  plugin?: string[];
  trustedNetwork?: true;
  save?: string;
  report?: string;
  tensorboard?: string;
  json?: true;
  verbose?: true;
}

export function trainCommand(): Command {
  return new Command("train")
    .description("train the job that a file exports, evaluate it and save the model")
    .argument("<job-file>", "TypeScript or JavaScript file whose default export is a job")
    .option("--ps <count>", "parameter servers of the cluster that is started", countOf, 2)
    .option("--workers <count>", "workers of the cluster that is started", countOf, 2)
    .addOption(replicasOption(1))
    .addOption(memoryMaxOption("the parameter servers together"))
    .addOption(spillOption())
    .addOption(deviceOption())
    .addOption(
      new Option("--coordinator <address>", "train on this running cluster instead")
        .argParser(addressOf)
        .conflicts(["ps", "workers", "replicas", "device", "memoryMax", "spill"]),
    )
    .addOption(pluginOption("training functions, server updates or layers that the job names"))
    .addOption(trustedNetworkOption())
    .option("--save <folder>", "where the model is saved (default: runs/ and the job's name)")
    .option("--report <file>", "where the report of the run is written (default: report.html beside the model)")
    .option("--tensorboard <folder>", "also write an event file for TensorBoard there")
    .option("--json", "end with one JSON object on stdout, and nothing else there")
    .option("--verbose", "show what every process says")
    .addHelpText(
      "after",
      example(
        "volary train job.ts --workers 4 --save models/late-flights",
        "volary train job.ts --coordinator ws://10.0.0.1:7171",
      ),
    )
    .action(run);
}

async function run(file: string, options: Options): Promise<void> {
  const { loadJobFile } = await import("../job-file.ts");
  const job = await loadJobFile(file);
  const folder = options.save ?? path.join("runs", folderName(job.name));
  await prepareFolder(folder);
  const screen = progressScreen();
  const recorder = await openRunRecorder({
    reportFile: options.report ?? path.join(folder, "report.html"),
    tensorboard: options.tensorboard,
    clock: realClock,
    now: Date.now,
    onWarning: (message) => screen.note(message),
  });
  const log = await openLog({ folder, options, screen });
  let cluster: Cluster | undefined;
  try {
    await interruptible(
      async (signal) => {
        cluster = await openCluster({ file, options, log, screen, signal });
        const run = await cluster.train(job, {
          onStatus: (status) => (recorder.onStatus(status), screen.onStatus(status)),
          onCluster: (status) => (recorder.onCluster(status), screen.onCluster(status)),
          onSummary: (summary) => screen.note(summary),
          signal,
        });
        try {
          screen.end(run.status);
          const saved = await run.save(folder);
          const reportFile = await recorder.finish({ manifest: run.manifest, folder });
          report({ run, saved, reportFile, options });
        } finally {
          run.close();
        }
      },
      { kill: () => cluster?.kill() },
    );
  } catch (error) {
    screen.end();
    const reportFile = await recorder.finish({ failure: messageOf(error) });
    if (reportFile !== undefined) screen.note(reportLine(reportFile));
    throw error;
  } finally {
    screen.end();
    await cluster?.stop();
    await log?.close();
  }
}

function openCluster(o: {
  file: string;
  options: Options;
  log: LogSink | undefined;
  screen: ProgressScreen;
  signal: AbortSignal;
}): Promise<Cluster> {
  const { coordinator, ps, workers, replicas, device, plugin: plugins, trustedNetwork } = o.options;
  const onWarning = (message: string) => o.screen.note(message);
  const baseDir = path.dirname(path.resolve(o.file));
  if (coordinator !== undefined) {
    return Cluster.connect(coordinator, { onWarning, plugins, baseDir, trustedNetwork });
  }
  o.screen.note(`starting a cluster of ${ps} PS and ${workers} workers on this machine`);
  return Cluster.local({
    ps,
    workers,
    replicas,
    device,
    baseDir,
    plugins,
    onWarning,
    memoryMaxBytes: o.options.memoryMax,
    spillFolder: o.options.spill,
    log: o.log?.write,
    signal: o.signal,
  });
}

/** A cluster of our own has much to say: to the terminal, or to a file beside the model. */
async function openLog(o: { folder: string; options: Options; screen: ProgressScreen }): Promise<LogSink | undefined> {
  if (o.options.coordinator !== undefined) return undefined;
  if (o.options.verbose) return { write: (entry) => o.screen.note(logText(entry)), close: async () => {} };
  return fileLog(path.join(o.folder, "cluster.log"));
}

function report(o: { run: Run; saved: SavedSize; reportFile: string | undefined; options: Options }): void {
  const { run, saved, reportFile, options } = o;
  const { metrics, trainSeconds, samplesPerSecond } = run;
  const { folder, rows, bytes } = saved;
  if (options.json) {
    const { name, phase, samples, testRows, badRows } = run.status;
    const figures = {
      job: name,
      phase,
      metrics,
      testRows,
      badRows: badRows.count,
      samples,
      trainSeconds,
      samplesPerSecond,
    };
    console.log(JSON.stringify({ ...figures, saved: { folder, rows, bytes }, report: reportFile }));
    return;
  }
  console.error(`  saved     ${folder} (${grouped(rows)} rows, ${bytesText(bytes)})`);
  if (reportFile !== undefined) console.error(reportLine(reportFile));
}

const reportLine = (file: string): string => `  report    ${file}`;

/** A job's name as that of a folder. */
function folderName(job: string): string {
  const name = job.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+/, "");
  if (name !== "") return name;
  throw new UserError(`the job's name ${JSON.stringify(job)} makes no folder name; say where with --save`);
}
