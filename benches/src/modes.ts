/**
 * @file What do modes of consistency gain with slow workers, cost in accuracy, and exchange, and do they survive churn?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { CHURN_MODES, measureChurn } from "./modes/churn.ts";
import { measureDelayedLinks } from "./modes/delayed-links.ts";
import { measureDenseBytes } from "./modes/dense-bytes.ts";
import { measureLearning } from "./modes/learning.ts";
import { measureRowCache } from "./modes/row-cache.ts";
import { PacedCluster } from "./modes/paced-cluster.ts";
import { measureSharded } from "./modes/sharded.ts";
import { measureStragglers, STALENESS_STEPS } from "./modes/stragglers.ts";
import { atLeast, atMost, report, type Check } from "./report/report.ts";

interface Setting {
  folder: string;
  cluster: PacedCluster;
  seconds: number;
  seeds: number;
  flights: number;
  cacheFile: string | undefined;
  churnSeconds: number;
  churnEverySeconds: number;
  churnModes: readonly (keyof typeof CHURN_MODES)[];
  mode: "measure" | "control";
}

interface Part {
  metrics: Record<string, number | boolean>;
  checks: readonly Check[];
}

const isTrue = (metric: string, holds: boolean): Check => ({ metric, bound: "true", holds });

const PARTS: Record<string, (o: Setting) => Promise<Part>> = {
  stragglers: async (o) => {
    const metrics = await measureStragglers(o);
    return {
      metrics: { ...metrics },
      checks: [
        atLeast("quorumSpeedup", metrics.quorumSpeedup, 2),
        atLeast("sspSpeedup", metrics.sspSpeedup, 1.8),
        atMost("sspIdleShare", metrics.sspIdleShare, 0.08),
        atLeast("bspIdleShare", metrics.bspIdleShare, 0.5),
        atMost("stalenessMax", metrics.stalenessMax, STALENESS_STEPS),
        isTrue("eachAppliedOnce", metrics.eachAppliedOnce),
      ],
    };
  },
  overlap: async (o) => {
    const metrics = await measureDelayedLinks({ ...o, seconds: o.seconds / 6 });
    return {
      metrics: { ...metrics },
      checks: [
        atMost("overlapIdleShare", metrics.overlapIdleShare, 0.15),
        isTrue("overlapEachOnce", metrics.overlapEachOnce),
      ],
    };
  },
  auc: async (o) => {
    const metrics = await measureLearning(o);
    return {
      metrics: { ...metrics },
      checks: [
        atMost("aucGapBsp", metrics.aucGapBsp, 0.0005),
        atMost("aucGapOthers", metrics.aucGapOthers, 0.003),
        atMost("cacheAucGap", metrics.cacheAucGap, 0.001),
      ],
    };
  },
  bytes: async (o) => {
    const metrics = await measureDenseBytes(o);
    return {
      metrics: { ...metrics },
      checks: [atMost("localSgdDenseBytesRatio", metrics.localSgdDenseBytesRatio, 0.01)],
    };
  },
  churn: async ({ churnSeconds: seconds, churnEverySeconds: everySeconds, churnModes: modes, ...o }) => {
    const metrics = await measureChurn({ ...o, seconds, everySeconds, modes });
    return {
      metrics: { ...metrics },
      checks: [atLeast("churnRatio", metrics.churnRatio, 0.7), isTrue("churnEachOnce", metrics.churnEachOnce)],
    };
  },
  cache: async (o) => {
    const metrics = await measureRowCache({ ...o, steps: Math.max(4, Math.round(o.seconds / 2)) });
    return {
      metrics: { ...metrics },
      checks: [atMost("cachePullBytesRatio", metrics.cachePullBytesRatio, 0.65)],
    };
  },
  sharded: async (o) => {
    const metrics = await measureSharded(o);
    return {
      metrics: { ...metrics },
      checks: [
        atMost("shardedMemoryRatio", metrics.shardedMemoryRatio, 0.3),
        atMost("shardedDifference", metrics.shardedDifference, 1e-6),
      ],
    };
  },
};

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    part: { type: "string", multiple: true, default: Object.keys(PARTS) },
    seconds: { type: "string", default: "60" },
    "churn-seconds": { type: "string", default: "180" },
    "churn-every": { type: "string", default: "5" },
    "churn-mode": { type: "string", multiple: true, default: ["bsp", "ssp", "localSgd"] },
    seeds: { type: "string", default: "3" },
    flights: { type: "string", default: "0" },
    "cache-file": { type: "string" },
  },
});
const mode = options.control ? "control" : "measure";
const unknown = [
  ...options.part.filter((name) => !Object.hasOwn(PARTS, name)),
  ...options["churn-mode"].filter((name) => !Object.hasOwn(CHURN_MODES, name)),
];
if (unknown.length > 0) {
  const [parts, modes] = [PARTS, CHURN_MODES].map((of) => Object.keys(of).join(", "));
  throw new RangeError(`no "${unknown[0]}"; --part takes ${parts}, and --churn-mode ${modes}`);
}
const cluster = new PacedCluster();
const folder = await mkdtemp(path.join(tmpdir(), "volary-modes-"));
const setting: Setting = {
  folder,
  cluster,
  seconds: Number(options.seconds),
  churnSeconds: Number(options["churn-seconds"]),
  churnEverySeconds: Number(options["churn-every"]),
  churnModes: options["churn-mode"] as (keyof typeof CHURN_MODES)[],
  seeds: Number(options.seeds),
  flights: Number(options.flights),
  cacheFile: options["cache-file"],
  mode,
};
try {
  const parts: Part[] = [];
  for (const name of options.part) parts.push(await PARTS[name]!(setting));
  report({
    name: "modes",
    metrics: Object.assign({}, ...parts.map(({ metrics }) => metrics)) as Part["metrics"],
    checks: parts.flatMap(({ checks }) => checks),
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await cluster.stop();
  await rm(folder, { recursive: true });
}
