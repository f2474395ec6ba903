/** `fit.dense: "sharded"` while workers come and go: the same weights as the committed steps give in one thread. */
import { seededRandom } from "@volary/core/testing";
import { describe, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { checkRun } from "./check-run.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { toyManifest, toyModel } from "./toy-job.ts";
import { runTraining, type FinishedJob } from "./training-run.ts";

const SEEDS = 20;
const COMPUTE_MAX_MS = 20;
/** Faults come this long one after another, at most. */
const EVERY_MAX_MS = 250;

const manifestOf = (seed: number) => toyManifest({ workersMin: 3, seed, fit: { dense: "sharded", epochs: 3 } });

/** A job whose workers crash, or lose each other, or are joined by others: how often there were which, and the trace. */
async function run(seed: number): Promise<{ finished: FinishedJob; lost: number; joined: number; trace: string[] }> {
  const random = seededRandom(seed);
  const cluster: SimulatedCluster = new SimulatedCluster({
    seed,
    openModel: ({ host }) =>
      toyModel({
        compute: () =>
          new Promise((resolve) => void host.clock.after(random.between({ min: 0, max: COMPUTE_MAX_MS }), resolve)),
      }),
  });
  let [lost, joined, faults] = [0, 0, random.below(7)];
  const disturb = () => {
    if (faults-- === 0) return;
    const { workers } = cluster;
    const worker = workers[random.below(workers.length)]!;
    const what = workers.length < 3 ? "join" : (["join", "crash", "cut"] as const)[random.below(3)]!;
    if (what === "join") void cluster.startWorker(`worker-${3 + joined++}`);
    else if (what === "crash") {
      cluster.crashWorker(worker);
      lost++;
    } else
      cluster.cut(
        worker,
        workers.find((other) => other !== worker)!,
      );
    cluster.clock.after(random.between({ min: 1, max: EVERY_MAX_MS }), disturb);
  };
  const life = async (): Promise<FinishedJob> => {
    await cluster.startCoordinator();
    cluster.startPsNode("ps-0");
    cluster.startPsNode("ps-1");
    for (let i = 0; i < 3; i++) await cluster.startWorker(`worker-${i}`);
    cluster.clock.after(random.between({ min: 50, max: 2 * EVERY_MAX_MS }), disturb);
    return runTraining({ client: cluster.client("trainer"), manifest: manifestOf(seed) });
  };
  const finished = await cluster.clock.until(life(), { limitMs: 300_000 });
  cluster.stop();
  return { finished, lost, joined, trace: cluster.trace };
}

describe("sharded dense variables", { timeout: 120_000 }, () => {
  test("become what they do in one thread", async () => {
    const manifest = manifestOf(1);
    const finished = await calmRun({ manifest, workers: 3 });
    expect(await checkRun({ manifest, finished })).toEqual({ steps: [], rows: [] });
    const { dense } = await calmRun({
      manifest: toyManifest({ workersMin: 3, seed: 1, fit: { epochs: 3 } }),
      workers: 3,
    });
    for (const [i, weight] of finished.dense.entries()) expect(Math.abs(weight - dense[i]!)).toBeLessThan(1e-6);
  });

  test("become that when workers are lost and join, and what is lost is logged", async () => {
    const counts = { lost: 0, joined: 0, anew: 0, terms: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { finished, lost, joined, trace } = await run(seed);
      expect(await checkRun({ manifest: manifestOf(seed), finished }), `seed ${seed}`).toEqual({ steps: [], rows: [] });
      counts.lost += lost;
      counts.joined += joined;
      counts.anew += trace.filter((line) => line.includes("begins anew at step")).length;
      counts.terms += finished.terms.length;
    }
    expect(counts.lost).toBeGreaterThan(SEEDS / 3);
    expect(counts.joined).toBeGreaterThan(SEEDS / 3);
    expect(counts.anew).toBeGreaterThan(SEEDS / 3);
    expect(counts.terms).toBeGreaterThan(3 * SEEDS);
  });
});
