/** How many bytes do workers exchange about the demo's dense variables, for each sample that is trained? */
import { average, bsp, localSgd, type ConsistencySpec, type JobDefinition } from "@volary/core";
import { DEMO_ROUNDS } from "./learning.ts";
import type { PacedCluster } from "./paced-cluster.ts";
import { smallDemo } from "./small-demo.ts";

const ROUNDS = 1;

export interface DenseBytes {
  localSgdDenseBytesRatio: number;
  bspDenseBytesPerSample: number;
  localSgdDenseBytesPerSample: number;
}

export async function measureDenseBytes(o: {
  cluster: PacedCluster;
  folder: string;
  mode: "measure" | "control";
}): Promise<DenseBytes> {
  const { cluster, mode, folder } = o;
  const steps = mode === "control" ? 4 : ROUNDS * DEMO_ROUNDS.every;
  const job = await smallDemo(folder, { steps });
  const bspDenseBytesPerSample = await bytesPerSample(cluster, job, bsp());
  // In a control gradients are reduced at every step, as they are.
  const rounds = mode === "control" ? bsp() : localSgd({ ...DEMO_ROUNDS, outer: average() });
  const localSgdDenseBytesPerSample = await bytesPerSample(cluster, job, rounds);
  return {
    localSgdDenseBytesRatio: localSgdDenseBytesPerSample / bspDenseBytesPerSample,
    bspDenseBytesPerSample,
    localSgdDenseBytesPerSample,
  };
}

/** Of the frames that workers send each other, headers and all. */
async function bytesPerSample(
  cluster: PacedCluster,
  job: JobDefinition,
  consistency: ConsistencySpec,
): Promise<number> {
  const run = await cluster.train({ ...job, name: consistency.mode, fit: { ...job.fit, consistency } });
  const { samples, batches } = run.status;
  run.close();
  const bytes = cluster.bytes((of) => of.sentOf(["reduce", "denseState"]));
  console.error(
    `${JSON.stringify(consistency)}: ${samples} samples, ${batches?.rounds ?? 0} rounds, ` +
      `${(bytes / samples).toFixed(2)} bytes of dense variables a sample`,
  );
  return bytes / samples;
}
