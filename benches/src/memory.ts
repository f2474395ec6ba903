/**
 * @file Does a parameter server hold tables larger than one WebAssembly memory, obey its limit, and serve rows from disk?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { streamNewKeys } from "./memory/key-stream.ts";
import { contest, prepare, type Entry } from "./ps/contest.ts";
import type { Rates } from "./ps/rounds.ts";
import { nativePrograms, type NativePrograms } from "./ps/native.ts";
import { atLeast, atMost, report, type Check } from "./report/report.ts";
import { ratios, spreadOf, spreadText } from "./report/statistics.ts";

const DIM = 64;
/** Weights, the accumulator of row-wise Adagrad, and what a row costs beside them. */
const ROW_BYTES = 4 * DIM + 4 + 28;
/** 26 fields of 4096 samples. */
const DRAWS = 26 * 4096;
const SEED = 1;
/** A wasm memory ends here. */
const ARENA_BYTES = 2 ** 32;
const MEBIBYTE = 2 ** 20;
/** What a node that spills has memory for, of all rows. */
const SHARE_IN_MEMORY = 1 / 4;

interface Setting {
  /** Of the large tables. */
  gigabytes: number;
  /** Of the tables that spill. */
  rows: number;
  draws: number;
  rounds: number;
  minutes: number;
  memoryMaxMegabytes: number;
  native: NativePrograms;
  folder: string;
  mode: "measure" | "control";
}

const inMegabytes = (bytes: number): string => `${Math.ceil(bytes / MEBIBYTE)}m`;

/** A node with more rows than one memory has room for: pulls and pushes of Zipf keys over all of them, checked bit by bit. */
async function largeTables(o: Setting) {
  const bytes = o.gigabytes * 1e9;
  const rows = Math.floor(bytes / ROW_BYTES);
  const given = await prepare(o.folder, { rows, dim: DIM, batches: 4, draws: o.draws, seed: SEED });
  // Partitions differ in size, each has an equal share of the limit, and frames need some of it.
  const psArgs = ["--memory-max", inMegabytes(bytes * 1.4)];
  const entry: Entry = { kind: "volary", name: "large", psArgs, ...given };
  const found = await contest([entry], { native: o.native, rounds: o.rounds, clients: 1 });
  const { pullRowsPerSecond, pushRowsPerSecond, intact } = found.rates.get("large")!;
  const { resident } = found.rowBytes.get("large")!;
  console.error(
    `${rows} rows, ${(((resident ?? ROW_BYTES) * rows) / ARENA_BYTES).toFixed(2)} times one WebAssembly memory: ` +
      `pull ${spreadText(spreadOf(pullRowsPerSecond))}, push ${spreadText(spreadOf(pushRowsPerSecond))} rows/s`,
  );
  return { largeOverArena: ((resident ?? ROW_BYTES) * rows) / ARENA_BYTES, largeIntact: intact };
}

/**
 * The same rows in memory, and in a quarter of it with the rest on disk, round by round. Each round pushes what it
 * pulls, and a push brings rows back: so these are rows that are in use, and hardly any lies on disk when it is pulled.
 */
async function spilledTables(o: Setting) {
  const given = await prepare(o.folder, { rows: o.rows, dim: DIM, batches: 8, draws: o.draws, seed: SEED });
  const bytes = o.rows * ROW_BYTES;
  const limit = ["--memory-max", inMegabytes(bytes * SHARE_IN_MEMORY)];
  const entries: Entry[] = [
    { kind: "volary", name: "memory", psArgs: ["--memory-max", inMegabytes(2 * bytes)], ...given },
    { kind: "volary", name: "disk", psArgs: [...limit, "--spill", path.join(o.folder, "spill")], ...given },
  ];
  // In a control rows are asked for one by one, which a disk does not like.
  const fault = o.mode === "control" ? "slow-and-wrong" : undefined;
  const found = await contest(entries, { native: o.native, rounds: o.rounds, clients: 1, faults: { disk: fault } });
  const [memory, disk] = [found.rates.get("memory")!, found.rates.get("disk")!];
  const pull = ratios(disk.pullRowsPerSecond, memory.pullRowsPerSecond);
  const push = ratios(disk.pushRowsPerSecond, memory.pushRowsPerSecond);
  console.error(
    `a table of four times the memory, of rows in use: pull ${spreadText(pull)}, push ${spreadText(push)} ` +
      `of the rate in memory, ${rowsASecond(memory)}; ${found.rowBytes.get("disk")!.resident?.toFixed(0) ?? "?"} bytes of memory a row`,
  );
  return {
    spillRecentPullRatio: pull.median,
    spillRecentPushRatio: push.median,
    spillIntact: memory.intact && disk.intact,
  };
}

const rowsASecond = ({ pullRowsPerSecond, pushRowsPerSecond }: Rates): string =>
  `${spreadText(spreadOf(pullRowsPerSecond))} and ${spreadText(spreadOf(pushRowsPerSecond))} rows/s`;

async function measure(o: Setting) {
  const limited = await streamNewKeys({
    memoryMax: o.memoryMaxMegabytes * MEBIBYTE,
    // In a control the node is told four times the limit that it is held to.
    toldMax: (o.mode === "control" ? 4 : 1) * o.memoryMaxMegabytes * MEBIBYTE,
    minutes: o.minutes,
    dim: DIM,
  });
  const spilled = await spilledTables(o);
  if (o.mode === "control") return { ...limited, ...spilled };
  return { ...limited, ...spilled, ...(await largeTables(o)) };
}

const holds = (metric: string, value: boolean): Check => ({ metric, bound: "true", holds: value });

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    gigabytes: { type: "string", default: "13" },
    rows: { type: "string", default: "4000000" },
    draws: { type: "string", default: String(DRAWS) },
    rounds: { type: "string", default: "5" },
    minutes: { type: "string", default: "1" },
    "memory-max-megabytes": { type: "string", default: "512" },
  },
});
const folder = await mkdtemp(path.join(tmpdir(), "volary-memory-bench-"));
try {
  const mode = options.control ? "control" : "measure";
  const metrics = await measure({
    gigabytes: Number(options.gigabytes),
    rows: Number(options.rows),
    draws: Number(options.draws),
    rounds: Number(options.rounds),
    minutes: Number(options.minutes),
    memoryMaxMegabytes: Number(options["memory-max-megabytes"]),
    native: await nativePrograms(folder),
    folder,
    mode,
  });
  report({
    name: "memory",
    metrics,
    checks: [
      ...("largeOverArena" in metrics
        ? [atLeast("largeOverArena", metrics.largeOverArena, 3), holds("largeIntact", metrics.largeIntact)]
        : []),
      atMost("residentOverLimit", metrics.residentOverLimit, 1.25),
      ...(mode === "control" ? [] : [holds("refusalsNameRemedies", metrics.refusalsNameRemedies)]),
      ...(mode === "control" ? [] : [holds("servedThroughout", metrics.servedThroughout)]),
      atLeast("spillRecentPullRatio", metrics.spillRecentPullRatio, 0.3),
      holds("spillIntact", metrics.spillIntact),
    ],
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
