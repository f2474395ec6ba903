/** How many bytes a step's updates cost between the nodes of a chain. */
import { epochOrder } from "@volary/core/data";
import { stepPlan } from "@volary/core/training";
import { Cluster, type Run } from "volary";
import { CLICK_DIM, CLICK_FIELDS, clicksJob, writeClicks, type Clicks } from "../load/clicks-job.ts";
import { metricsOf, startCluster, type BenchCluster } from "../processes/cluster.ts";

const NODES = 3;
const WORKERS = 2;
/** Of a row, beside its floats: the key, and as much again for all that goes with it. */
const KEY_BYTES = 16;

export interface ChainBytes {
  bytesPerStep: number;
  /** Rows that a step changes, each with the sum of its gradients over all workers, and a key. */
  idealPerStep: number;
}

/** @param o.replicas the ideal is that of 2, whatever they are */
export async function chainBytes(o: {
  folder: string;
  steps: number;
  batchSize: number;
  replicas: number;
}): Promise<ChainBytes> {
  const { steps, batchSize } = o;
  const clicks = await writeClicks(o.folder, { rows: steps * batchSize });
  const at = await startCluster({
    ps: NODES,
    workers: WORKERS,
    replicas: o.replicas,
    psArgs: ["--memory-max", "512m"],
  });
  const client = await Cluster.connect(at.address);
  try {
    const before = await sentAlongChains(at);
    const run = await client.train(clicksJob({ clicks, batchSize, stepsMax: steps }));
    const bytes = (await sentAlongChains(at)) - before;
    const rows = changedRows(run, clicks);
    run.close();
    return { bytesPerStep: bytes / steps, idealPerStep: (rows / steps) * (4 * CLICK_DIM + KEY_BYTES) };
  } finally {
    await client.stop();
    await at.stop();
  }
}

async function sentAlongChains({ nodes }: BenchCluster): Promise<number> {
  const counts = await Promise.all(nodes.map(({ address }) => metricsOf(address)));
  return counts.reduce((sum, metrics) => {
    const bytes = metrics.get("volary_ps_chain_bytes_total");
    if (bytes === undefined) throw new Error("a PS node does not say how many bytes it sent along its chains");
    return sum + bytes;
  }, 0);
}

/** Different keys of each table in each step, over all workers, added up. */
function changedRows({ manifest, status }: Run, { columns }: Clicks): number {
  const trainRows = columns.user.length;
  const plan = stepPlan({ manifest, trainRows });
  const order = epochOrder({ rows: trainRows, seed: manifest.seed, epoch: 0 });
  if (status.step > plan.stepsPerEpoch) throw new RangeError("the rows of one epoch are counted, and there were more");
  let rows = 0;
  for (let step = 1; step <= status.step; step++) {
    const { from, to } = plan.samplesOf(step);
    const samples = order.subarray(from, to);
    for (const field of CLICK_FIELDS) rows += new Set(Array.from(samples, (row) => columns[field][row]!)).size;
  }
  return rows;
}
