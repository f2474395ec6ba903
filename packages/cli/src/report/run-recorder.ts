/**
 * Puts a run on disk while it trains and when it is over: TensorBoard's event file, and the report. What cannot be
 * written is known before training begins where that is possible; later on it is a warning, and training goes on.
 */
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { JobManifest } from "@volary/core/job";
import type { Clock } from "@volary/core/wire";
import { messageOf, UserError } from "../user-error.ts";
import { reportHtml } from "./report.ts";
import type { TableSize } from "./report-tables.ts";
import { RunRecord } from "./run-record.ts";
import { openTensorBoardLog } from "./tensorboard-log.ts";

export interface RunRecorderOptions {
  reportFile: string;
  /** Folder of the event file; none is written without it. */
  tensorboard?: string | undefined;
  clock: Clock;
  /** ms since 1970. */
  now: () => number;
  onWarning: (message: string) => void;
}

export interface RunOutcome {
  manifest?: JobManifest | undefined;
  /** Where the model was saved. */
  folder?: string | undefined;
  /** Why the run failed. */
  failure?: string | undefined;
}

export interface RunRecorder extends Pick<RunRecord, "onStatus" | "onCluster"> {
  /** Writes what is left, once; resolves with the report's file if there is one. Never rejects. */
  finish(outcome: RunOutcome): Promise<string | undefined>;
}

/** @throws {UserError} a file cannot be written: why, and the remedy */
export async function openRunRecorder(o: RunRecorderOptions): Promise<RunRecorder> {
  const { reportFile, tensorboard, clock, now, onWarning } = o;
  await checkWritable(reportFile);
  const log =
    tensorboard === undefined ? undefined : await openTensorBoardLog(tensorboard, { clock, nowMs: now(), onWarning });
  const record = new RunRecord({ now, onScalars: log?.write });
  let finished: Promise<string | undefined> | undefined;

  const finish = async ({ manifest, folder, failure }: RunOutcome): Promise<string | undefined> => {
    await log?.close();
    // A job that was refused at once has nothing to report.
    if (!record.job) return undefined;
    try {
      const tables = manifest && folder !== undefined ? await savedTables(folder, manifest) : undefined;
      await writeWhole(reportFile, reportHtml({ record, manifest, folder, tables, failure }));
      return reportFile;
    } catch (error) {
      onWarning(`the report ${reportFile} was not written: ${messageOf(error)}`);
      return undefined;
    }
  };
  return {
    onStatus: record.onStatus,
    onCluster: record.onCluster,
    finish: (outcome) => (finished ??= finish(outcome)),
  };
}

/** Rows and bytes of each table of a saved model, as its model.json lists its files. */
async function savedTables(folder: string, { tables }: JobManifest): Promise<Map<string, TableSize>> {
  const index = JSON.parse(await readFile(path.join(folder, "model.json"), "utf8")) as {
    files: Record<string, { bytes: number }>;
  };
  const bytesOf = ({ id, name }: { id: number; name: string }, what: string) =>
    (index.files[`tables/${name}.${what}.bin`] ?? index.files[`tables/table-${id}.${what}.bin`])?.bytes ?? 0;
  return new Map(
    tables.map((table) => {
      const keysBytes = bytesOf(table, "keys");
      return [table.name, { rows: keysBytes / KEY_BYTES, bytes: keysBytes + bytesOf(table, "rows") }];
    }),
  );
}

const KEY_BYTES = 8;

async function checkWritable(file: string): Promise<void> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(temporary(file), "");
    await rm(temporary(file));
    if ((await stat(file).catch(() => undefined))?.isDirectory()) throw new Error("it is a folder");
  } catch (cause) {
    const remedy = "give a file that you may write to with --report";
    throw new UserError(`cannot write the report ${file}: ${messageOf(cause)}; ${remedy}`, { cause });
  }
}

/** Under another name until it is whole. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(temporary(file), text);
  await rename(temporary(file), file);
}

const temporary = (file: string): string => `${file}.${process.pid}.tmp`;
