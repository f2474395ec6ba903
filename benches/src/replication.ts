/**
 * @file What do replicas cost: bytes between parameter servers, and time of clients that push?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { chainBytes } from "./replication/chain-bytes.ts";
import { pushRates } from "./replication/push-rates.ts";
import { atLeast, atMost, report } from "./report/report.ts";
import { spreadOf, spreadText } from "./report/statistics.ts";

const BATCH = 4096;
const ROWS = 200_000;
const DRAWS = 26 * 1024;
const BATCHES = 8;

interface Setting {
  steps: number;
  rows: number;
  draws: number;
  rounds: number;
  mode: "measure" | "control";
  folder: string;
}

async function measure(o: Setting) {
  const isControl = o.mode === "control";
  // A third replica is one more than the ideal has.
  const { bytesPerStep, idealPerStep } = await chainBytes({ ...o, batchSize: BATCH, replicas: isControl ? 3 : 2 });
  const rates = await pushRates({ ...o, batches: BATCHES, fault: isControl ? "slow" : undefined });
  console.error(
    `a step sends ${(bytesPerStep / 1000).toFixed(1)} kB along chains, ` +
      `${(idealPerStep / 1000).toFixed(1)} kB of which are its rows; pushed rows per second ` +
      `${millions(rates.replicated)} with two replicas, ${millions(rates.unreplicated)} with one, ` +
      `ratio ${spreadText(rates.ratio)}`,
  );
  return {
    chainBytesOverIdeal: bytesPerStep / idealPerStep,
    chainBytesPerStep: bytesPerStep,
    pushesVsUnreplicated: rates.ratio.median,
    pushesVsUnreplicatedP10: rates.ratio.p10,
    pushesVsUnreplicatedP90: rates.ratio.p90,
    pushedRowsPerSecond: spreadOf(rates.replicated).median,
  };
}

const millions = (rates: readonly number[]): string => `${(spreadOf(rates).median / 1e6).toFixed(2)} M`;

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    steps: { type: "string", default: "50" },
    rows: { type: "string", default: String(ROWS) },
    draws: { type: "string", default: String(DRAWS) },
    rounds: { type: "string", default: "9" },
  },
});
const mode = options.control ? "control" : "measure";
const folder = await mkdtemp(path.join(tmpdir(), "volary-replication-"));
try {
  const metrics = await measure({
    steps: Number(options.steps),
    rows: Number(options.rows),
    draws: Number(options.draws),
    rounds: Number(options.rounds),
    mode,
    folder,
  });
  report({
    name: "replication",
    metrics,
    checks: [
      atMost("chainBytesOverIdeal", metrics.chainBytesOverIdeal, 1.1),
      atLeast("pushesVsUnreplicated", metrics.pushesVsUnreplicated, 0.45),
    ],
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
