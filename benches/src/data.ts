/** Can a worker read data as fast as it trains, and data larger than its memory, without losing or changing a row? */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { writeClicks, type ClickSums } from "./data/click-log.ts";
import type { EpochRequest, EpochResult } from "./data/epoch.ts";
import { csvParseSpeed, parquetSpeed, udsvSpeed } from "./data/parsers.ts";
import { atLeast, atMost, report } from "./report/report.ts";

const GIGABYTE = 1e9;
const MEGABYTE = 1e6;

/** An epoch in a process of its own, so that its memory is nobody else's. */
async function epoch(request: EpochRequest): Promise<EpochResult> {
  const command = [...process.execArgv, path.join(import.meta.dirname, "data/epoch.ts"), JSON.stringify(request)];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const stdout = await text(child.stdout);
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`the epoch's process ended with code ${code}`);
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as EpochResult;
}

/** A digit of the last row becomes another one. */
async function changeDigit(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(400);
    await handle.read(tail, 0, tail.length, size - tail.length);
    const row = tail.lastIndexOf("\n", tail.length - 2) + 1;
    const digit = tail[row]! === 0x31 ? 0x32 : 0x31;
    await handle.write(Buffer.of(digit), 0, 1, size - tail.length + row);
  } finally {
    await handle.close();
  }
}

const sameSums = (found: ClickSums, expected: ClickSums): boolean =>
  found.rows === expected.rows && found.numbers === expected.numbers && found.counts === expected.counts;

async function measure(o: { file: string; bytes: number; mode: "measure" | "control" }) {
  const { file, bytes, mode } = o;
  const sums = await writeClicks(file, bytes);
  console.error(`wrote ${sums.rows} rows, ${(bytes / MEGABYTE).toFixed(0)} MB`);
  if (mode === "control") await changeDigit(file);
  const stream = await epoch({ file, way: mode === "control" ? "broken" : "stream" });
  // The broken epoch is of its first rows: what it would take for all.
  const megabytes = (bytes / MEGABYTE) * (stream.sums.rows / sums.rows);
  const whole = mode === "control" || bytes > GIGABYTE / 2 ? undefined : await epoch({ file, way: "memory" });
  const epochs =
    mode === "control" ? [await epoch({ file, way: "stream" })] : whole === undefined ? [stream] : [stream, whole];
  return {
    csvMegabytesPerSecond: megabytes / stream.readSeconds,
    csvMegabytesPerCpuSecond: megabytes / stream.readCpuSeconds,
    csvOpenMegabytesPerSecond: bytes / MEGABYTE / stream.openSeconds,
    ...(whole === undefined
      ? {}
      : { csvInMemoryMegabytesPerSecond: bytes / MEGABYTE / (whole.openSeconds + whole.readSeconds) }),
    csvParseMegabytesPerSecond: await csvParseSpeed(file),
    udsvMegabytesPerSecond: await udsvSpeed(file),
    parquetValuesPerSecond: await parquetSpeed({ way: mode === "control" ? "a value at a time" : "columns" }),
    rssGrowthMegabytes: stream.rssGrowthMegabytes,
    rowsIntact: epochs.every((each) => sameSums(each.sums, sums)),
  };
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    gigabytes: { type: "string", default: "0.3" },
  },
});
const mode = options.control ? "control" : "measure";
const folder = await mkdtemp(path.join(tmpdir(), "volary-data-bench-"));
try {
  const bytes = Number(options.gigabytes) * GIGABYTE;
  if (!(bytes > 0)) throw new RangeError(`--gigabytes ${options.gigabytes}: expected a number above 0`);
  const metrics = await measure({ file: path.join(folder, "clicks.csv"), bytes, mode });
  report({
    name: "data",
    metrics,
    checks: [
      atLeast("csvMegabytesPerSecond", metrics.csvMegabytesPerSecond, 40),
      atLeast("parquetValuesPerSecond", metrics.parquetValuesPerSecond, 1e6),
      atMost("rssGrowthMegabytes", metrics.rssGrowthMegabytes, 300),
      { metric: "rowsIntact", bound: "true", holds: metrics.rowsIntact },
    ],
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
