/**
 * How well does each mode learn? The demo's job, at the same global batch, by the AUC of its held-out flights, next to
 * one worker. A run takes most of a minute, so runs can be kept in a file of JSON lines and are not repeated.
 */
import { appendFile, readFile } from "node:fs/promises";
import path from "node:path";
import {
  adam,
  asp,
  average,
  bsp,
  localSgd,
  nesterov,
  rowwiseAdagrad,
  ssp,
  type CacheArgs,
  type ConsistencySpec,
  type JobDefinition,
  type OptimizerSpec,
} from "@volary/core";
import { file } from "@volary/core/data";
import { Cluster, loadJobFile } from "volary";
import { writeFlights } from "../parity/flights.ts";
import { DEMO_FOLDER } from "../traffic/demo-job.ts";

const NODES = 2;
const WORKERS = 4;
const STALENESS_STEPS = 8;
/** Of jobs on few flights, so that these are some steps. */
const SMALL_BATCH = 256;

interface Way {
  workers: number;
  consistency: ConsistencySpec;
  cache?: CacheArgs;
}

export const DEMO_ROUNDS = { every: 30, compression: "int8" } as const;

const WAYS = {
  one: { workers: 1, consistency: bsp() },
  /** As `one`, but with the next larger float32 as the learning rate of dense weights: they round otherwise. */
  rounding: { workers: 1, consistency: bsp() },
  bsp: { workers: WORKERS, consistency: bsp() },
  ssp: { workers: WORKERS, consistency: ssp({ stalenessSteps: STALENESS_STEPS }) },
  asp: { workers: WORKERS, consistency: asp() },
  localSgd: { workers: WORKERS, consistency: localSgd({ ...DEMO_ROUNDS, outer: average() }) },
  nesterov: { workers: WORKERS, consistency: localSgd({ ...DEMO_ROUNDS, outer: nesterov(0.7, 0.9) }) },
  cached: {
    workers: WORKERS,
    consistency: ssp({ stalenessSteps: STALENESS_STEPS }),
    cache: { stalenessSteps: STALENESS_STEPS },
  },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;
const OTHERS = ["ssp", "asp", "localSgd"] as const satisfies WayName[];

/** What one run learnt: a line of the file. */
interface Learnt {
  way: WayName;
  seed: number;
  /** 0 where it read them all. */
  flights: number;
  mode: "measure" | "control";
  auc: number;
  seconds: number;
}

export interface LearningOptions {
  folder: string;
  seeds: number;
  /** So many of them, evenly spread; all of them, as the demo, where 0. */
  flights: number;
  /** Where runs are kept. */
  cacheFile?: string | undefined;
  mode: "measure" | "control";
}

export interface Learning {
  /** Next to one worker, of the means over the seeds. */
  aucGapBsp: number;
  /** The largest over ssp, asp and localSgd with the mean as the next weights, of the means over the seeds. */
  aucGapOthers: number;
  /** The largest of a single seed. */
  aucGapBspWorstSeed: number;
  aucGapOthersWorstSeed: number;
  /** Of one worker whose weights round otherwise, next to one worker: what rounding alone does to an AUC. */
  aucGapRounding?: number;
  aucGapRoundingWorstSeed?: number;
  /** Next to the same mode without a cache, of the means over the seeds. */
  cacheAucGap: number;
  /** Means over the seeds. */
  aucOne: number;
  aucNesterov?: number;
}

export async function measureLearning(o: LearningOptions): Promise<Learning> {
  const learnt = o.cacheFile === undefined ? [] : await keptIn(o.cacheFile);
  const seeds = Array.from({ length: o.seeds }, (_, i) => i + 1);
  // In a control all are bsp() on one worker, and one of the others speaks for all.
  const isControl = o.mode === "control";
  const others = isControl ? OTHERS.slice(0, 1) : OTHERS;
  const apart = isControl ? [] : (["nesterov", "rounding"] as const);
  const ways: WayName[] = ["one", "bsp", "cached", ...others, ...apart];
  const workersOf = (way: WayName) => (isControl ? 1 : WAYS[way].workers);
  for (const workers of [1, WORKERS]) {
    const missing = ways
      .filter((way) => workersOf(way) === workers)
      .flatMap((way) => seeds.filter((seed) => !find(learnt, { ...o, way, seed })).map((seed) => ({ way, seed })));
    if (missing.length === 0) continue;
    const cluster = await Cluster.local({ workers, ps: NODES, baseDir: DEMO_FOLDER });
    try {
      for (const each of missing) {
        const run = await learn(cluster, { ...o, ...each });
        learnt.push(run);
        if (o.cacheFile !== undefined) await appendFile(o.cacheFile, `${JSON.stringify(run)}\n`);
      }
    } finally {
      await cluster.stop();
    }
  }
  const aucs = (way: WayName): number[] => seeds.map((seed) => find(learnt, { ...o, way, seed })!.auc);
  const gap = (way: WayName, to: WayName): number => Math.abs(meanOf(aucs(way)) - meanOf(aucs(to)));
  const worstGap = (way: WayName, to: WayName): number =>
    Math.max(...aucs(way).map((auc, i) => Math.abs(auc - aucs(to)[i]!)));
  return {
    aucGapBsp: gap("bsp", "one"),
    aucGapOthers: Math.max(...others.map((way) => gap(way, "one"))),
    aucGapBspWorstSeed: worstGap("bsp", "one"),
    aucGapOthersWorstSeed: Math.max(...others.map((way) => worstGap(way, "one"))),
    cacheAucGap: gap("cached", "ssp"),
    aucOne: meanOf(aucs("one")),
    ...(isControl
      ? {}
      : {
          aucNesterov: meanOf(aucs("nesterov")),
          aucGapRounding: gap("rounding", "one"),
          aucGapRoundingWorstSeed: worstGap("rounding", "one"),
        }),
  };
}

async function learn(cluster: Cluster, o: LearningOptions & { way: WayName; seed: number }): Promise<Learnt> {
  const { way, seed, flights, mode } = o;
  const run = await cluster.train(await jobOf(o));
  const { auc } = run.metrics;
  const seconds = run.trainSeconds;
  console.error(`${way}, seed ${seed}: AUC ${auc!.toFixed(5)} in ${seconds.toFixed(1)} s`);
  run.close();
  return { way, seed, flights, mode, auc: auc!, seconds };
}

async function jobOf(o: LearningOptions & { way: WayName; seed: number }): Promise<JobDefinition> {
  const demo = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const isBroken = o.mode === "control" && o.way !== "one";
  const { consistency, cache }: Way = isBroken ? WAYS.bsp : WAYS[o.way];
  const few = o.flights === 0 ? undefined : await fewFlights(o);
  return {
    ...demo,
    name: o.way,
    seed: o.seed,
    data: few ? { ...demo.data, files: [file(few)] } : demo.data,
    compile: {
      ...demo.compile,
      ...(isBroken ? controlOptimizers(o.way) : {}),
      ...(o.way === "rounding" ? { optimizer: roundedOtherwise(demo.compile.optimizer) } : {}),
    },
    fit: {
      ...demo.fit,
      consistency,
      ...(cache === undefined ? {} : { cache }),
      ...(few ? { batchSize: SMALL_BATCH } : {}),
    },
  };
}

function fewFlights({ folder, flights }: LearningOptions): Promise<string> {
  return writeFlights(folder, { steps: Math.floor(flights / SMALL_BATCH), batchSize: SMALL_BATCH });
}

/** Each of the ways that are compared learns at another rate, and most learn next to nothing. */
function controlOptimizers(way: WayName): Pick<JobDefinition["compile"], "optimizer" | "sparseOptimizer"> {
  const rate = way === "cached" ? 0.01 : 0.000_01;
  return { optimizer: adam({ learningRate: rate }), sparseOptimizer: rowwiseAdagrad({ learningRate: rate }) };
}

/** The next larger float32 as its learning rate. */
function roundedOtherwise(optimizer: OptimizerSpec): OptimizerSpec {
  if (!("learningRate" in optimizer)) throw new TypeError(`${optimizer.kind} has no learning rate to round otherwise`);
  return { ...optimizer, learningRate: Math.fround(optimizer.learningRate) * (1 + 2 ** -23) };
}

/** @returns none where there is no such file yet */
async function keptIn(at: string): Promise<Learnt[]> {
  const text = await readFile(at, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Learnt);
}

const find = (runs: readonly Learnt[], of: Pick<Learnt, "way" | "seed" | "flights" | "mode">): Learnt | undefined =>
  runs.find(
    ({ way, seed, flights, mode }) => way === of.way && seed === of.seed && flights === of.flights && mode === of.mode,
  );

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
