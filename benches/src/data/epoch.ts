/**
 * One epoch over a click log, in the order and with the transforms of training, in a process of its own: what it takes
 * and how far its memory grows. Prints one line of JSON.
 */
import { readFile } from "node:fs/promises";
import { columnsOf, EpochOrder, openDataset, openStreamedDataset, type Batch, type Dataset } from "@volary/core/data";
import { openData } from "@volary/node-worker";
import { clickSpec, type ClickSums } from "./click-log.ts";

export interface EpochRequest {
  file: string;
  /** Everything in memory, block by block; or broken: a row at a time, with the whole file in memory as cells. */
  way: "memory" | "stream" | "broken";
}

export interface EpochResult {
  openSeconds: number;
  readSeconds: number;
  /** Of all threads, the collector's included. */
  readCpuSeconds: number;
  /** Over all rows read. */
  sums: ClickSums;
  rssGrowthMegabytes: number;
}

const BATCH_ROWS = 4096;
/** A broken epoch proves itself in this many rows. */
const BROKEN_ROWS = 2000;

const { file, way } = JSON.parse(process.argv[2]!) as EpochRequest;
const { spec, demands } = clickSpec(file);
console.log(JSON.stringify(await run()));

async function run(): Promise<EpochResult> {
  const rssBefore = process.memoryUsage.rss();
  const started = performance.now();
  const cells = way === "broken" ? (await readFile(file, "utf8")).split("\n").map((line) => line.split(",")) : [];
  const dataset = await open();
  const opened = performance.now();
  const cpuBefore = process.cpuUsage();
  const sums = await readAll(dataset);
  const { user, system } = process.cpuUsage(cpuBefore);
  const readSeconds = (performance.now() - opened) / 1000;
  const rssGrowthMegabytes = process.resourceUsage().maxRSS / 1024 - rssBefore / 2 ** 20;
  await dataset.close();
  if (way === "broken" && cells.length === 0) throw new Error("the cells are gone before memory was measured");
  return {
    openSeconds: (opened - started) / 1000,
    readSeconds,
    readCpuSeconds: (user + system) / 1e6,
    sums,
    rssGrowthMegabytes,
  };
}

async function readAll(dataset: Dataset): Promise<ClickSums> {
  const sums: ClickSums = { rows: 0, numbers: 0, counts: 0 };
  const rows = way === "broken" ? Math.min(BROKEN_ROWS, dataset.trainRows) : dataset.trainRows;
  const batchRows = way === "broken" ? 1 : BATCH_ROWS;
  const order = new EpochOrder({
    rows: dataset.trainRows,
    seed: 1,
    epoch: 0,
    shuffle: true,
    ...(dataset.blocks === undefined ? {} : { blocks: dataset.blocks }),
  });
  for (let from = 0; from < rows; from += batchRows) {
    const batch = await dataset.read("train", order.slice(from, Math.min(rows, from + batchRows)), 0);
    addSums(sums, batch);
  }
  return sums;
}

function addSums(sums: ClickSums, batch: Batch): void {
  const numbers = batch.keys.get("row")!;
  const counts = batch.numbers.get("firstCount")!;
  for (let i = 0; i < batch.samples; i++) {
    sums.numbers += numbers[2 * i]!;
    sums.counts += counts[i]!;
  }
  sums.rows += batch.samples;
}

async function open(): Promise<Dataset> {
  const data = await openData(spec, {
    baseDirs: [],
    columns: columnsOf(spec),
    memory: way === "memory" ? Infinity : 0,
  });
  return data.kind === "memory"
    ? openDataset({ spec, table: data.table, demands, seed: 1 })
    : openStreamedDataset({ spec, source: data.source, demands, seed: 1 });
}
