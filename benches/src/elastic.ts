/**
 * @file What moves when parameter servers join and leave, what do clients notice of it, and is the work shared evenly?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { parseArgs } from "node:util";
import { balance } from "./elastic/balancing.ts";
import { growAndShrink } from "./elastic/growing.ts";
import { worstPlacedJoin } from "./elastic/joins.ts";
import { p99Ms } from "./load/timeline.ts";
import { atMost, report } from "./report/report.ts";

const ROWS = 200_000;

interface Setting {
  joins: number;
  rows: number;
  perSecond: number;
  steadyMs: number;
  settledMs: number;
  mode: "measure" | "control";
}

async function measure(o: Setting) {
  const isControl = o.mode === "control";
  const placed = worstPlacedJoin({ memory: isControl ? "none" : "previous" });
  const grown = await growAndShrink({ ...o, fault: isControl ? "hang-and-miscount" : undefined });
  const { load, before, moving } = grown;
  const p99 = { before: p99Ms(load.pulls, [before]), moving: p99Ms(load.pulls, moving) };
  const shared = await balance({ settledMs: o.settledMs, fault: isControl ? "one-partition" : undefined });
  console.error(
    `joins moved ${grown.joins.map(({ overIdeal }) => overIdeal.toFixed(2)).join(", ")} of the ideal, ` +
      `by the placement alone at most ${placed.overIdeal.toFixed(2)}; ` +
      `p99 of a pull ${p99.before.toFixed(1)} ms before, ${p99.moving.toFixed(1)} ms while partitions moved; ` +
      `busiest node ${shared.before.toFixed(2)} times the mean, ${shared.after.toFixed(2)} after ${shared.overrides} moves`,
  );
  const joins = [placed, ...grown.joins];
  return {
    movedOverIdealMax: Math.max(...joins.map(({ overIdeal }) => overIdeal)),
    movedBetweenOld: joins.reduce((sum, { betweenOld }) => sum + betweenOld, 0),
    overrides: grown.overrides,
    p99PullRatio: p99.moving / p99.before,
    p99PullMs: p99.moving,
    lost: load.lost,
    doubled: load.doubled,
    unresolved: load.unresolved,
    failedPulls: load.failedPulls,
    rowsIntact: load.isIntact,
    busiestOverMeanBefore: shared.before,
    busiestOverMean: shared.after,
    balancingOverrides: shared.overrides,
  };
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    joins: { type: "string", default: "2" },
    rows: { type: "string", default: String(ROWS) },
    "per-second": { type: "string", default: "200" },
    seconds: { type: "string", default: "10" },
    "settled-seconds": { type: "string", default: "15" },
  },
});
const mode = options.control ? "control" : "measure";
const metrics = await measure({
  joins: Number(options.joins),
  rows: Number(options.rows),
  perSecond: Number(options["per-second"]),
  steadyMs: 1000 * Number(options.seconds),
  settledMs: 1000 * Number(options["settled-seconds"]),
  mode,
});
report({
  name: "elastic",
  metrics,
  checks: [
    atMost("movedOverIdealMax", metrics.movedOverIdealMax, 1.25),
    atMost("movedBetweenOld", metrics.movedBetweenOld, 0),
    atMost("p99PullRatio", metrics.p99PullRatio, 3),
    atMost("lost", metrics.lost, 0),
    atMost("doubled", metrics.doubled, 0),
    atMost("busiestOverMean", metrics.busiestOverMean, 1.3),
  ],
  mode,
  output: options.json ? "json" : "text",
});
