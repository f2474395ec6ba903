/**
 * @file How many bytes does training exchange with parameter servers, next to a worker that takes no care?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import path from "node:path";
import { parseArgs } from "node:util";
import { Cluster } from "volary";
import { nodeChild, type Child } from "./processes/child.ts";
import { startCluster, type BenchCluster } from "./processes/cluster.ts";
import { atMost, report } from "./report/report.ts";
import type { CountingWorkerRequest } from "./traffic/counting-worker.ts";
import { DEMO_FOLDER, demoJob, type WireDtype } from "./traffic/demo-job.ts";
import type { NaiveRequest, NaiveRun } from "./traffic/naive-run.ts";

/** As the demo has them. */
const NODES = 2;
const WORKERS = 2;
/** Losses of single steps jump about; the last ones together do not. */
const LAST_STEPS = 10;

interface Setting {
  steps: number;
  wire: WireDtype;
  mode: "measure" | "control";
}

interface Counted {
  bytes: number;
  losses: number[];
}

const portsOf = ({ nodes }: BenchCluster): number[] => nodes.map(({ address }) => Number(new URL(address).port));
const program = (name: string): string => path.join(import.meta.dirname, "traffic", `${name}.ts`);

/** The job on a cluster as `npm start` has it; its workers count. */
async function volaryRun({ steps, wire }: Setting): Promise<Counted> {
  const cluster = await startCluster({ ps: NODES });
  const workers: Child[] = [];
  try {
    const request: CountingWorkerRequest = {
      coordinator: cluster.address,
      ports: portsOf(cluster),
      baseDir: DEMO_FOLDER,
    };
    for (let i = 1; i <= WORKERS; i++) {
      const args = [JSON.stringify(request)];
      workers.push(nodeChild({ name: `worker ${i}`, file: program("counting-worker"), args }));
    }
    for (const worker of workers) await worker.nextObject();
    const client = await Cluster.connect(cluster.address, { baseDir: DEMO_FOLDER });
    const run = await client.train(await demoJob({ steps, wire }));
    const counts = await Promise.all(workers.map((worker) => worker.ask<{ bytes: number }>("bytes")));
    run.close();
    await client.stop();
    return {
      bytes: counts.reduce((sum, { bytes }) => sum + bytes, 0),
      losses: run.steps.map(({ loss }) => loss),
    };
  } finally {
    for (const worker of workers) await worker.stop();
    await cluster.stop();
  }
}

async function naiveRun({ steps, mode }: Setting): Promise<NaiveRun> {
  const cluster = await startCluster({ ps: NODES });
  const request: NaiveRequest = {
    steps,
    wire: "float32",
    coordinator: cluster.address,
    ports: portsOf(cluster),
    fault: mode === "control" ? "learns-nothing" : undefined,
  };
  const child = nodeChild({ name: "the naive client", file: program("naive-run"), args: [JSON.stringify(request)] });
  try {
    return await child.nextObject<NaiveRun>();
  } finally {
    await child.stop();
    await cluster.stop();
  }
}

const lossAtEnd = (losses: readonly number[]): number => {
  const last = losses.slice(-LAST_STEPS);
  return last.reduce((sum, loss) => sum + loss, 0) / last.length;
};

async function measure(o: Setting) {
  const naive = await naiveRun(o);
  // In a control the careful run is one that pulls and pushes what the naive one does.
  const careful =
    o.mode === "control" ? { bytes: naive.bytes, losses: (await volaryRun(o)).losses } : await volaryRun(o);
  const losses = { careful: lossAtEnd(careful.losses), naive: lossAtEnd(naive.losses) };
  const perStep = (bytes: number): string => `${(bytes / o.steps / 1e6).toFixed(2)} MB`;
  console.error(
    `a step exchanges ${perStep(careful.bytes)} with unique keys, keys by name and ${o.wire}; ` +
      `${perStep(naive.bytes)} without any of it, ${perStep(naive.bytesWithoutHeaders)} of which are keys and floats; ` +
      `loss ${losses.careful.toFixed(4)} and ${losses.naive.toFixed(4)}`,
  );
  return {
    ratio: careful.bytes / naive.bytes,
    ratioWithoutNaiveHeaders: careful.bytes / naive.bytesWithoutHeaders,
    bytesPerStep: careful.bytes / o.steps,
    loss: losses.careful,
    lossDifference: Math.abs(losses.careful - losses.naive),
  };
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    steps: { type: "string", default: "24" },
    wire: { type: "string", default: "bfloat16" },
  },
});
const mode = options.control ? "control" : "measure";
const metrics = await measure({ steps: Number(options.steps), wire: options.wire as WireDtype, mode });
report({
  name: "traffic",
  metrics,
  checks: [
    atMost("ratio", metrics.ratio, 0.3),
    atMost("ratioWithoutNaiveHeaders", metrics.ratioWithoutNaiveHeaders, 0.3),
    atMost("lossDifference", metrics.lossDifference, 0.005),
  ],
  mode,
  output: options.json ? "json" : "text",
});
