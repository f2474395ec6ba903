/** `volary data inspect`: what a data file holds, and a first job that trains on it. */
import path from "node:path";
import type { ColumnReport, FileReport } from "@volary/node-worker";
import type { FileSpec } from "@volary/core/data";
import { Command } from "commander";
import { suggestedJob } from "../inspection/suggested-job.ts";
import { example, rowsOf } from "../options.ts";
import { grouped, plural, short } from "../screen/figures.ts";
import { textTable } from "../screen/text-table.ts";

const ROWS = 100_000;

export function dataCommand(): Command {
  const inspect = new Command("inspect")
    .description("show what the columns of a file hold, and a job file to begin with")
    .argument("<file>", "CSV, TSV, JSONL, libsvm, npy or Parquet; a path, https:// or s3://; .gz and .zst too")
    .option("--rows <count>", 'look at this many rows from the first, or "all"', rowsOf, ROWS)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      example("volary data inspect clicks.csv", "volary data inspect --json --rows all clicks.parquet"),
    )
    .action(run);
  return new Command("data")
    .description("look at data files")
    .addCommand(inspect)
    .addHelpText("after", example("volary data inspect clicks.csv"));
}

async function run(file: string, { rows, json }: { rows: number; json?: true }): Promise<void> {
  const { DISTINCT_MAX, inspectFile } = await import("@volary/node-worker");
  const spec = fileSpecOf(file);
  const report = await inspectFile(spec, { rowsMax: rows, baseDirs: [process.cwd()] });
  const name = spec.kind === "file" ? path.resolve(file) : file;
  const job = suggestedJob(report, { path: name });
  if (json) console.log(JSON.stringify({ file, ...report, ...(job === undefined ? {} : { job }) }));
  else console.log(reportText(report, job, DISTINCT_MAX));
}

export function reportText(report: FileReport, job: string | undefined, distinctMax: number): string {
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
    ...(job === undefined ? [] : ["", "A job to begin with (save it as job.ts, then: volary train job.ts)", "", job]),
  ].join("\n");
}

function fileSpecOf(file: string): FileSpec {
  if (/^https?:\/\//i.test(file)) return { kind: "http", url: file };
  const s3 = /^s3:\/\/(?<bucket>[^/]+)\/(?<key>.*)$/.exec(file)?.groups;
  if (s3 !== undefined) return { kind: "s3", bucket: s3["bucket"]!, key: s3["key"]! };
  return { kind: "file", path: file };
}
