/**
 * @file How much faster is a whole training step with rows on a parameter server than with tfjs's own embeddings?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import path from "node:path";
import { parseArgs } from "node:util";
import { nodeChild } from "./processes/child.ts";
import { atLeast, atMost, report } from "./report/report.ts";
import { ratios, spreadOf, spreadText } from "./report/statistics.ts";
import type { SparseRequest, SparseRun } from "./sparse/model.ts";

/** The demo has 24. With 24 tables of a million rows tfjs's wasm backend aborts: its heap ends at 4 GiB. */
const TABLES = 8;
const ROWS = 1_000_000;
/** A table of ten million is tried, too, with fewer tables. */
const LARGE = { tables: 2, times: 10 } as const;

type Side = "tfjs" | "volary";

/** @throws {Error} the process ended; its last words say why */
async function run(side: Side, request: SparseRequest): Promise<SparseRun> {
  const file = path.join(import.meta.dirname, "sparse", `${side}-steps.ts`);
  const child = nodeChild({ name: `the process of ${side}`, file, args: [JSON.stringify(request)] });
  try {
    return await child.nextObject<SparseRun>();
  } finally {
    await child.stop();
  }
}

interface Setting {
  tables: number;
  rows: number;
  rounds: number;
  steps: number;
  mode: "measure" | "control";
}

/** tfjs's steps are slow, and there are no pauses between them: fewer will do. */
const SHARE_OF_TFJS = 4;

async function compare(o: Setting) {
  const runs: Record<Side, SparseRun[]> = { tfjs: [], volary: [] };
  const tfjsSteps = Math.max(4, Math.round(o.steps / SHARE_OF_TFJS));
  for (let round = 0; round < o.rounds; round++) {
    const fault = o.mode === "control" ? "learns-faster" : undefined;
    runs.volary.push(await run("volary", { ...o, warmUp: Math.ceil(o.steps / 6), fault }));
    runs.tfjs.push(await run("tfjs", { ...o, steps: tfjsSteps, warmUp: 2 }));
  }
  const times = (side: Side): number[] => runs[side].map(({ secondsPerStep }) => secondsPerStep);
  const speedup = ratios(times("tfjs"), times("volary"));
  const [ours, theirs] = [runs.volary[0]!.losses, runs.tfjs[0]!.losses];
  const lossDifference = Math.max(...theirs.map((loss, i) => Math.abs(loss - ours[i]!)));
  console.error(
    `${o.tables} tables × ${o.rows} rows: tfjs ${milliseconds(times("tfjs"))}, Volary ${milliseconds(times("volary"))} ` +
      `a step, speedup ${spreadText(speedup)}; memory ${gigabytes(runs.tfjs)} and ${gigabytes(runs.volary)}`,
  );
  return {
    speedup: speedup.median,
    speedupP10: speedup.p10,
    speedupP90: speedup.p90,
    lossDifference,
    tfjsSecondsPerStep: spreadOf(times("tfjs")).median,
    volarySecondsPerStep: spreadOf(times("volary")).median,
  };
}

/** What happens to each with tables ten times as large. */
async function printLarge(o: Setting): Promise<void> {
  const size = { tables: Math.min(LARGE.tables, o.tables), rows: LARGE.times * o.rows };
  console.error(`${size.tables} tables × ${size.rows} rows:`);
  for (const side of ["tfjs", "volary"] as const) {
    const steps = side === "tfjs" ? 4 : o.steps;
    const outcome = await run(side, { ...size, steps, warmUp: 2 }).then(
      (found) => `${milliseconds([found.secondsPerStep])} a step, memory ${gigabytes([found])}`,
      (error: unknown) => `does not run: ${firstWords(error)}`,
    );
    console.error(`  ${side}: ${outcome}`);
  }
}

const milliseconds = (seconds: readonly number[]): string => `${(1000 * spreadOf(seconds).median).toFixed(0)} ms`;
const gigabytes = (runs: readonly SparseRun[]): string =>
  `${(Math.max(...runs.map(({ memoryBytes }) => memoryBytes)) / 1e9).toFixed(1)} GB`;

/** Of an error that quotes a whole stack. */
function firstWords(error: unknown): string {
  const lines = String(error).split("\n");
  return (
    lines.find((line) => /(Error|Aborted|abort)/.test(line.replace("Error: the process", ""))) ?? lines[0]!
  ).trim();
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    tables: { type: "string", default: String(TABLES) },
    rows: { type: "string", default: String(ROWS) },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "48" },
  },
});
const mode = options.control ? "control" : "measure";
const setting: Setting = {
  tables: Number(options.tables),
  // In a control the tables are so small that a gradient as large as the table costs nothing.
  rows: mode === "control" ? 100 : Number(options.rows),
  rounds: Number(options.rounds),
  steps: Number(options.steps),
  mode,
};
const metrics = await compare(setting);
if (mode === "measure") await printLarge(setting);
report({
  name: "sparse-vs-tfjs",
  metrics,
  checks: [atLeast("speedup", metrics.speedup, 30), atMost("lossDifference", metrics.lossDifference, 1e-5)],
  mode,
  output: options.json ? "json" : "text",
});
