/** How many bytes do pulls take where workers use rows again, next to workers that keep none? */
import { ssp, type CacheArgs, type JobDefinition } from "@volary/core";
import { clicksJob, writeClicks } from "../load/clicks-job.ts";
import type { PacedCluster } from "./paced-cluster.ts";

const STALENESS_STEPS = 8;
/** Of four workers, so that headers of frames are small next to rows, as with many tables. */
const BATCH = 16_384;

export interface RowCache {
  cachePullBytesRatio: number;
  /** Rows that were used again, of those that batches needed. */
  cachedRowsShare: number;
}

/** @param steps of training, on as many keys of a Zipf law as `clicks-job.ts` draws */
export async function measureRowCache(o: {
  cluster: PacedCluster;
  folder: string;
  steps: number;
  mode: "measure" | "control";
}): Promise<RowCache> {
  const clicks = await writeClicks(o.folder, { rows: o.steps * BATCH });
  const job = clicksJob({ clicks, batchSize: BATCH, stepsMax: o.steps });
  const without = await pullsOf(o.cluster, job);
  // In a control nothing is kept.
  const cache = o.mode === "control" ? undefined : { stalenessSteps: STALENESS_STEPS };
  const cached = await pullsOf(o.cluster, job, cache);
  return { cachePullBytesRatio: cached.bytes / without.bytes, cachedRowsShare: cached.share };
}

/** Bytes of the frames of pulls and their replies, headers and all. */
async function pullsOf(cluster: PacedCluster, job: JobDefinition, cache?: CacheArgs) {
  const consistency = ssp({ stalenessSteps: STALENESS_STEPS });
  const fit = { ...job.fit, consistency, ...(cache === undefined ? {} : { cache }) };
  const run = await cluster.train({ ...job, fit });
  const { batches } = run.status;
  run.close();
  const bytes = cluster.bytes((of) => of.sentOf(["pull"]) + of.receivedOf(["pullReply"]));
  const share = batches && batches.rows > 0 ? batches.cachedRows / batches.rows : 0;
  console.error(
    `${cache ? "with" : "without"} a cache: ${(bytes / run.status.step / 1e3).toFixed(0)} kB of pulls a step, ` +
      `${(100 * share).toFixed(0)} % of the rows used again`,
  );
  return { bytes, share };
}
