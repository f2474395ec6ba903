/**
 * @file What do training and clients notice when parameter servers are killed, one after the other?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { seededRandom } from "@volary/core/testing";
import { Cluster, type Run } from "volary";
import { killNodes } from "./failover/kills.ts";
import { clicksJob, writeClicks, type Clicks } from "./load/clicks-job.ts";
import { OpenLoad, type LoadOutcome } from "./load/open-load.ts";
import { longestGapMs, type Span } from "./load/timeline.ts";
import { areIdentical, flipOneBit, weightsOf, type Weights } from "./parity/weights.ts";
import { startCluster } from "./processes/cluster.ts";
import { atLeast, atMost, report } from "./report/report.ts";
import { quantile, spreadOf, spreadText } from "./report/statistics.ts";

const NODES = 3;
const WORKERS = 2;
const CLICKS = 200_000;
const BATCH = 1024;
/** Rows that clients pull, some in every partition. */
const ROWS = 20_000;
/** Training is under way, and so is the load. */
const STEPS_BEFORE = 10;
const SEED = 1;

interface Setting {
  kills: number;
  replicas: number;
  perSecond: number;
  mode: "measure" | "control";
}

interface Disturbed {
  spans: Span[];
  load: LoadOutcome;
  steps: number;
  terms: number;
  weights: Weights;
}

/** Trains while nodes are killed and clients push and pull; training ends once all kills are over. */
async function disturbedRun(
  o: Setting & { at: Awaited<ReturnType<typeof startCluster>>; clicks: Clicks },
): Promise<Disturbed> {
  const { at, clicks, kills, perSecond, mode } = o;
  const client = await Cluster.connect(at.address);
  const load = await OpenLoad.start({
    coordinator: at.address,
    pushesPerSecond: perSecond,
    pullsPerSecond: perSecond,
    rows: ROWS,
    fault: mode === "control" ? "miscounts" : undefined,
  });
  try {
    let isOver = false;
    let underWay = () => {};
    const begun = new Promise<void>((resolve) => (underWay = resolve));
    const training = client.train(clicksJob({ clicks, batchSize: BATCH }), {
      onStatus: ({ step }) => step >= STEPS_BEFORE && underWay(),
      callbacks: { onBatchEnd: () => ({ stopTraining: isOver }) },
    });
    await Promise.race([begun, training]);
    const killing = killNodes({
      cluster: at,
      client,
      kills,
      kind: mode === "control" ? "hang" : "kill",
      random: seededRandom(SEED),
    }).finally(() => (isOver = true));
    const [spans, run] = await Promise.all([killing, training]);
    const terms = (await run.commits()).terms.length;
    const result = { spans, steps: run.status.step, terms, weights: await weightsOf(run), load: await load.end() };
    run.close();
    return result;
  } finally {
    load.kill();
    await client.stop();
  }
}

/** The same job, by the same workers, with nobody else about. */
async function undisturbedRun(o: { address: string; clicks: Clicks; steps: number }): Promise<Weights> {
  const client = await Cluster.connect(o.address);
  try {
    const run: Run = await client.train(clicksJob({ clicks: o.clicks, batchSize: BATCH, stepsMax: o.steps }));
    const weights = await weightsOf(run);
    run.close();
    return weights;
  } finally {
    await client.stop();
  }
}

async function measure(o: Setting & { folder: string }) {
  const clicks = await writeClicks(o.folder, { rows: CLICKS });
  const at = await startCluster({
    ps: NODES,
    workers: WORKERS,
    replicas: o.replicas,
    psArgs: ["--memory-max", "512m"],
  });
  try {
    const { spans, load, steps, terms, weights } = await disturbedRun({ ...o, at, clicks });
    console.error(`trained ${steps} steps in ${terms} terms; the same again, undisturbed`);
    const undisturbed = await undisturbedRun({ address: at.address, clicks, steps });
    if (o.mode === "control") flipOneBit(undisturbed);
    const gaps = spans.map((span) => longestGapMs(load.pushes, span));
    const pullGaps = spans.map((span) => longestGapMs(load.pulls, span));
    console.error(
      `without an acknowledged push: ${spreadText(spreadOf(gaps))} ms; without a pull: ${spreadText(spreadOf(pullGaps))} ms`,
    );
    return {
      kills: spans.length,
      gapMedianMs: quantile(gaps, 0.5),
      gapMaxMs: Math.max(...gaps),
      pullGapMedianMs: quantile(pullGaps, 0.5),
      pullGapMaxMs: Math.max(...pullGaps),
      pushes: load.pushes.due.length,
      lost: load.lost,
      doubled: load.doubled,
      unresolved: load.unresolved,
      failedPulls: load.failedPulls,
      rowsIntact: load.isIntact,
      steps,
      bitIdentical: areIdentical(weights, undisturbed),
    };
  } finally {
    await at.stop();
  }
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    kills: { type: "string" },
    replicas: { type: "string", default: "2" },
    "per-second": { type: "string", default: "200" },
  },
});
const mode = options.control ? "control" : "measure";
const KILLS = 20;
const folder = await mkdtemp(path.join(tmpdir(), "volary-failover-"));
try {
  const kills = Number(options.kills ?? (mode === "control" ? 3 : KILLS));
  const metrics = await measure({
    kills,
    replicas: Number(options.replicas),
    perSecond: Number(options["per-second"]),
    mode,
    folder,
  });
  report({
    name: "failover",
    metrics,
    checks: [
      atLeast("kills", metrics.kills, KILLS),
      atMost("gapMedianMs", metrics.gapMedianMs, 1000),
      atMost("gapMaxMs", metrics.gapMaxMs, 2000),
      atMost("pullGapMedianMs", metrics.pullGapMedianMs, 1000),
      atMost("pullGapMaxMs", metrics.pullGapMaxMs, 2000),
      atMost("lost", metrics.lost, 0),
      atMost("doubled", metrics.doubled, 0),
      { metric: "bitIdentical", bound: "true", holds: metrics.bitIdentical },
    ],
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
