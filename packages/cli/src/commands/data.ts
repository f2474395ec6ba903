/** `volary data inspect`: what a data file holds, and a first job that trains on it. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { grouped, plural, short } from "@volary/core/figures";
import type { ColumnReport, FileReport } from "@volary/node-worker";
import type { FileSpec } from "@volary/core/data";
import { Command } from "commander";
import { labelOf, suggestedJob } from "../inspection/suggested-job.ts";
import { example, rowsOf } from "../options.ts";
import { textTable } from "../screen/text-table.ts";
import { codeOf, messageOf, UserError } from "../user-error.ts";

const ROWS = 100_000;

export function dataCommand(): Command {
  const inspect = new Command("inspect")
    .description("show what the columns of a file hold, and a job file to begin with")
    .argument("<file>", "CSV, TSV, JSONL, libsvm, npy or Parquet; a path, https:// or s3://; .gz and .zst too")
    .option("--rows <count>", 'look at this many rows from the first, or "all"', rowsOf, ROWS)
    .option("--job <file>", "write the job to this file, which must not exist yet")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      example("volary data inspect clicks.csv --job job.ts", "volary data inspect --json --rows all clicks.parquet"),
    )
    .action(run);
  return new Command("data")
    .description("look at data files")
    .addCommand(inspect)
    .addHelpText("after", example("volary data inspect clicks.csv"));
}

interface Options {
  rows: number;
  job?: string;
  json?: true;
}

async function run(file: string, { rows, job: jobFile, json }: Options): Promise<void> {
  const { DISTINCT_MAX, inspectFile } = await import("@volary/node-worker");
  const spec = fileSpecOf(file);
  const report = await inspectFile(spec, { rowsMax: rows, baseDirs: [process.cwd()] });
  const job = suggestedJob(report, { path: spec.kind === "file" ? pathFrom(jobFile, file) : file });
  if (jobFile !== undefined) await writeJob(jobFile, { job, file });
  if (json) {
    const suggested = job === undefined ? {} : { job };
    console.log(JSON.stringify({ file, ...report, ...suggested, ...(jobFile === undefined ? {} : { jobFile }) }));
    return;
  }
  const next =
    jobFile === undefined
      ? job && ["A job to begin with (--job FILE writes it to a file):", "", job].join("\n")
      : `A job to begin with is in ${jobFile}; look it over, then: volary train ${jobFile}`;
  const unlabelled =
    job !== undefined && labelOf(report) === undefined
      ? ["No column looks like what is to be predicted: write it in the job as its label, or every label is 0."]
      : [];
  console.log([reportText(report, DISTINCT_MAX), ...(next === undefined ? [] : [next]), ...unlabelled].join("\n\n"));
}

/** As the job names the data file: beside or below the job file relative to it, so that both may move together. */
function pathFrom(jobFile: string | undefined, file: string): string {
  const absolute = path.resolve(file);
  if (jobFile === undefined) return absolute;
  const relative = path.relative(path.dirname(path.resolve(jobFile)), absolute);
  const isBelow = relative !== "" && !relative.startsWith("..") && !path.isAbsolute(relative);
  return isBelow ? relative.replaceAll(path.sep, "/") : absolute;
}

/** Never over a file that is there: it may have been worked on. */
async function writeJob(jobFile: string, { job, file }: { job: string | undefined; file: string }): Promise<void> {
  if (job === undefined) {
    throw new UserError(
      `there is no job to write to ${jobFile}: ${file} has no column that says something of its rows`,
    );
  }
  try {
    await mkdir(path.dirname(jobFile), { recursive: true });
    await writeFile(jobFile, job, { flag: "wx" });
  } catch (cause) {
    const isThere = codeOf(cause) === "EEXIST";
    const why = isThere ? "it exists; delete it, or give another name" : messageOf(cause);
    throw new UserError(`cannot write the job to ${jobFile}: ${why}`, { cause });
  }
}

function reportText(report: FileReport, distinctMax: number): string {
  const { rows, isWhole, badRows, firstBadRows, columns } = report;
  const figure = (value: string | undefined): string =>
    value === undefined ? "" : /^-?\d+\.\d{4,}/.test(value) ? Number(value).toPrecision(6) : value;
  const lines = columns.map((column: ColumnReport) => [
    column.name,
    column.type,
    column.missing === 0 ? "" : grouped(column.missing),
    column.distinct >= distinctMax ? `${grouped(distinctMax)} or more` : grouped(column.distinct),
    figure(column.min),
    figure(column.max),
    column.mean === undefined ? "" : short(column.mean),
    column.examples.join(", ").slice(0, 40),
  ]);
  return [
    `${report.format.kind}, ${plural(rows, "row")}${isWhole ? "" : " from the first; --rows all looks at all"}`,
    ...(badRows > 0 ? [`${plural(badRows, "bad row")}: ${firstBadRows.join("; ")}`] : []),
    "",
    textTable(["COLUMN", "TYPE", "MISSING", "DISTINCT", "MIN", "MAX", "MEAN", "EXAMPLES"], lines),
  ].join("\n");
}

function fileSpecOf(file: string): FileSpec {
  if (/^https?:\/\//i.test(file)) return { kind: "http", url: file };
  const s3 = /^s3:\/\/(?<bucket>[^/]+)\/(?<key>.*)$/.exec(file)?.groups;
  if (s3 !== undefined) return { kind: "s3", bucket: s3["bucket"]!, key: s3["key"]! };
  return { kind: "file", path: file };
}
