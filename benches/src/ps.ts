/**
 * @file How fast are pull and push of a parameter server next to Redis and to C, and how much memory does a row take?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { contest, prepare, type Contest, type Entry } from "./ps/contest.ts";
import { nativePrograms, type NativePrograms } from "./ps/native.ts";
import type { SystemOptions } from "./ps/systems.ts";
import { atLeast, atMost, report, type Check } from "./report/report.ts";
import { ratios, spreadOf, spreadText, type Spread } from "./report/statistics.ts";

/** 26 fields of 4096 samples. */
const DRAWS = 26 * 4096;
const SEED = 1;
const ROWS = 4_000_000;
const DIM = 64;

interface Setting {
  /** Rows of the table of the headline; the tables of 1 and 10 million are a quarter and 2.5 times as large. */
  rows: number;
  draws: number;
  batches: number;
  rounds: number;
  native: NativePrograms;
  folder: string;
  mode: "measure" | "control";
}

/** One comparison of all systems that are there. */
async function compareAll(o: Setting & { dim: number; clients: number }): Promise<Contest> {
  const given = await prepare(o.folder, { ...o, seed: SEED });
  const entries: Entry[] = [{ kind: "volary", name: "volary", ...given }];
  if (o.native.redis) entries.push({ kind: "redis", name: "redis", ...given });
  if (o.native.floor) entries.push({ kind: "floor", name: "floor", ...given });
  const found = await contest(entries, { ...o, faults: o.mode === "control" ? { volary: "slow-and-wrong" } : {} });
  printContest(found, { ...given, clients: o.clients });
  return found;
}

/** Pulls of a table and of one ten times as large, in the same rounds. */
async function pullOfLargeVsSmall(o: Setting): Promise<Spread> {
  const entry = async (name: string, rows: number): Promise<Entry> => {
    return { kind: "volary", name, ...(await prepare(o.folder, { ...o, rows, dim: DIM, seed: SEED })) };
  };
  const entries = [await entry("small", o.rows / 4), await entry("large", o.rows * 2.5)];
  const { rates } = await contest(entries, { ...o, clients: 1 });
  const [small, large] = [rates.get("small")!, rates.get("large")!];
  const found = ratios(large.pullRowsPerSecond, small.pullRowsPerSecond);
  console.error(
    `pulls of ${o.rows * 2.5} rows and of ${o.rows / 4}: ${millions(large.pullRowsPerSecond)} ` +
      `and ${millions(small.pullRowsPerSecond)}, ratio ${spreadText(found)}`,
  );
  if (!small.intact || !large.intact) throw new Error("a table of another size answered with wrong rows");
  return found;
}

/** Other sizes, widths and numbers of clients, for people. */
async function printMatrix(o: Setting): Promise<void> {
  for (const rows of [o.rows / 40, o.rows / 4, o.rows * 2.5]) await compareAll({ ...o, rows, dim: DIM, clients: 1 });
  for (const dim of [16, 128]) await compareAll({ ...o, dim, clients: 1 });
  for (const clients of [2, 4]) await compareAll({ ...o, dim: DIM, clients });
}

function printContest({ rates, rowBytes }: Contest, { workload, clients }: SystemOptions & { clients: number }): void {
  const { rows, dim, batches } = workload;
  const unique = batches.reduce((sum, { length }) => sum + length, 0) / batches.length;
  console.error(`${rows} rows × ${dim}, ${unique.toFixed(0)} unique keys a batch, ${clients} client(s) a system`);
  const volary = rates.get("volary")!;
  for (const [name, of] of rates) {
    const { resident, bookkeeping } = rowBytes.get(name)!;
    const bytes = [
      ...(resident === undefined ? [] : [`${resident.toFixed(0)} bytes of memory a row`]),
      ...(bookkeeping === undefined ? [] : [`at most ${bookkeeping.toFixed(1)} of them bookkeeping`]),
    ];
    console.error(`  ${name}: ${bytes.join(", ")}${of.intact ? "" : "; its rows are NOT what they should be"}`);
    for (const way of ["pullRowsPerSecond", "pushRowsPerSecond"] as const) {
      const share = name === "volary" ? "" : `; Volary has ${spreadText(ratios(volary[way], of[way]))} of that`;
      console.error(`    ${way} ${millions(of[way])}${share}`);
    }
  }
}

const millions = (rates: readonly number[]): string =>
  `${spreadText(spreadOf(rates.map((rate) => rate / 1e6)))} million`;

/** The ratios to systems that are there, each with its spread. */
function ratioMetrics({ rates }: Contest): Record<string, number> {
  const volary = rates.get("volary")!;
  return Object.fromEntries(
    (["redis", "floor"] as const).flatMap((name) => {
      const other = rates.get(name);
      if (!other) return [];
      const suffix = name === "redis" ? "VsRedis" : "VsFloor";
      return (["pull", "push"] as const).flatMap((way) => {
        const { median, p10, p90 } = ratios(volary[`${way}RowsPerSecond`], other[`${way}RowsPerSecond`]);
        const metric = `${way}${suffix}`;
        return [
          [metric, median],
          [`${metric}P10`, p10],
          [`${metric}P90`, p90],
        ];
      });
    }),
  );
}

async function measure(o: Setting): Promise<Record<string, number | boolean>> {
  const headline = await compareAll({ ...o, dim: DIM, clients: 1 });
  const volary = headline.rates.get("volary")!;
  const metrics = {
    ...ratioMetrics(headline),
    pullRowsPerSecond: spreadOf(volary.pullRowsPerSecond).median,
    pushRowsPerSecond: spreadOf(volary.pushRowsPerSecond).median,
    rowsIntact: [...headline.rates.values()].every(({ intact }) => intact),
  };
  if (o.mode === "control") return metrics;
  const { bookkeeping, resident } = headline.rowBytes.get("volary")!;
  const { median, p10, p90 } = await pullOfLargeVsSmall(o);
  return {
    ...metrics,
    bookkeepingBytesPerRow: bookkeeping!,
    ...(resident === undefined ? {} : { residentBytesPerRow: resident }),
    pull10MVs1M: median,
    pull10MVs1MP10: p10,
    pull10MVs1MP90: p90,
  };
}

const BOUNDS: Readonly<Record<string, { bound: typeof atLeast; value: number }>> = {
  pullVsRedis: { bound: atLeast, value: 9 },
  pushVsRedis: { bound: atLeast, value: 10 },
  pullVsFloor: { bound: atLeast, value: 0.65 },
  pushVsFloor: { bound: atLeast, value: 0.65 },
  bookkeepingBytesPerRow: { bound: atMost, value: 32 },
};

function checksOf(metrics: Record<string, number | boolean>): Check[] {
  const bounded = Object.entries(BOUNDS).filter(([metric]) => metric in metrics);
  return [
    ...bounded.map(([metric, { bound, value }]) => bound(metric, metrics[metric] as number, value)),
    { metric: "rowsIntact", bound: "true", holds: metrics["rowsIntact"] === true },
  ];
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    rows: { type: "string", default: String(ROWS) },
    draws: { type: "string", default: String(DRAWS) },
    batches: { type: "string", default: "8" },
    rounds: { type: "string", default: "9" },
  },
});
const numberOf = (name: "rows" | "draws" | "batches" | "rounds"): number => {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < 1)
    throw new RangeError(`--${name} ${options[name]}: expected a whole number above 0`);
  return value;
};
const folder = await mkdtemp(path.join(tmpdir(), "volary-ps-bench-"));
try {
  const native = await nativePrograms(folder);
  for (const name of native.absent) console.error(`${name} is absent here: the ratios that need it are left out`);
  const mode = options.control ? "control" : "measure";
  const setting: Setting = {
    rows: numberOf("rows"),
    draws: numberOf("draws"),
    batches: numberOf("batches"),
    rounds: numberOf("rounds"),
    native,
    folder,
    mode,
  };
  if (setting.rows % 40 !== 0) throw new RangeError(`--rows ${setting.rows}: expected a multiple of 40`);
  if (options.all) await printMatrix(setting);
  const metrics = await measure(setting);
  report({ name: "ps", metrics, checks: checksOf(metrics), mode, output: options.json ? "json" : "text" });
} finally {
  await rm(folder, { recursive: true });
}
