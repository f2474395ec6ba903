/**
 * What do volunteers that lie do to what is learnt? Seven help with the demo's job; two of them flip the sign of every
 * gradient in the first half of the job, and send ten times the flipped gradient in the second. The same flights are
 * learnt with honest volunteers alone; with the liars, without an update that is audited by chance; as a plain sum; and as
 * a plain sum with audits, which then are all that there is against them.
 */
import path from "node:path";
import type { JobDefinition } from "@volary/core";
import { file } from "@volary/core/data";
import { manifestOf } from "@volary/core/model";
import type { GradientModel } from "@volary/core/training";
import { startWorker } from "@volary/node-worker";
import { Cluster, loadJobFile } from "volary";
import { writeFlights } from "../parity/flights.ts";
import { startCluster } from "../processes/cluster.ts";
import { DEMO_FOLDER } from "../traffic/demo-job.ts";
import { withSimulatedLeaves, type LeafTally, type Lie, type SimulatedLeavesOptions } from "./simulated-leaves.ts";

const LEAVES = 7;
const LIARS = 2;
const AUDIT = 0.05;
/** Of the demo's flights the last days are held out: somewhat more than a tenth. */
const TRAINED = 0.85;

type Way = Pick<SimulatedLeavesOptions, "reducer" | "liars">;

const WAYS = {
  honest: { liars: 0, reducer: { combine: "centered-clip", audit: 0 } },
  robust: { liars: LIARS, reducer: { combine: "centered-clip", audit: 0 } },
  mean: { liars: LIARS, reducer: { combine: "mean", audit: 0 } },
  audited: { liars: LIARS, reducer: { combine: "mean", audit: AUDIT } },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;

/** What was to protect, or to harm, is not there. */
const BROKEN: Record<WayName, Way> = {
  honest: WAYS.honest,
  robust: WAYS.mean,
  mean: WAYS.honest,
  audited: WAYS.mean,
};

export interface PoisonOptions {
  folder: string;
  /** So many of them, evenly spread, held-out ones among them. */
  flights: number;
  batchSize: number;
  mode: "measure" | "control";
}

export interface Poison {
  aucHonest: number;
  aucRobust: number;
  aucMean: number;
  aucGapRobust: number;
  aucGapMean: number;
  /** Of the updates of a liar, when it was expelled, the later one's; −1 where neither was. */
  robustExpelledAfter: number;
  auditExpelledAfter: number;
  /** With audits, as a plain sum. */
  onlyLiarsExpelled: boolean;
}

interface Learnt {
  auc: number;
  tally: LeafTally;
}

export async function measurePoison(o: PoisonOptions): Promise<Poison> {
  const processes = await startCluster({ ps: 1 });
  try {
    return await measureOn(processes.address, o);
  } finally {
    await processes.stop();
  }
}

async function measureOn(coordinator: string, o: PoisonOptions): Promise<Poison> {
  const job = await jobOf(o);
  const ways = o.mode === "control" ? BROKEN : WAYS;
  const runs = new Map<Way, Learnt>(); // in a control some ways are the same
  const learnt = async (name: WayName): Promise<Learnt> => {
    const way = ways[name];
    const run = runs.get(way) ?? (await learn(coordinator, job, way));
    runs.set(way, run);
    const expelled = run.tally.expelledAfter.map((after) => after ?? "never").join(", ");
    console.error(`${name}: AUC ${run.auc.toFixed(5)}, volunteers expelled after updates: ${expelled}`);
    return run;
  };
  const [honest, robust, mean] = [await learnt("honest"), await learnt("robust"), await learnt("mean")];
  const audited = await learnt("audited");
  return {
    aucHonest: honest.auc,
    aucRobust: robust.auc,
    aucMean: mean.auc,
    aucGapRobust: Math.abs(robust.auc - honest.auc),
    aucGapMean: Math.abs(mean.auc - honest.auc),
    robustExpelledAfter: lastLiarExpelled(robust),
    auditExpelledAfter: lastLiarExpelled(audited),
    onlyLiarsExpelled: onlyLiarsExpelled(audited.tally),
  };
}

function lastLiarExpelled({ tally }: Learnt): number {
  const after = tally.expelledAfter.slice(0, LIARS);
  return after.includes(undefined) ? -1 : Math.max(...after.map(Number));
}

/** Both, and nobody else. */
function onlyLiarsExpelled({ expelledAfter }: LeafTally): boolean {
  return expelledAfter.every((after, i) => (after !== undefined) === i < LIARS);
}

async function learn(coordinator: string, job: JobDefinition, way: Way): Promise<Learnt> {
  const { manifest } = await manifestOf(job, { workersMin: 1 });
  const half = manifest.fit.stepsMax! / 2;
  const lie: Lie = (gradients, step) => {
    const factor = step < half ? -1 : -10;
    for (let i = 0; i < gradients.length; i++) gradients[i]! *= factor;
  };
  let tally: LeafTally | undefined;
  const helped = (model: GradientModel): GradientModel => {
    const leafed = withSimulatedLeaves(model, { ...way, manifest, leaves: LEAVES, lie });
    tally = leafed.tally;
    return leafed;
  };
  const worker = await startWorker({
    coordinator,
    name: "worker",
    device: "wasm",
    baseDirs: [DEMO_FOLDER],
    volunteers: { leavesMax: 0 },
    throughModel: helped,
  });
  const client = await Cluster.connect(coordinator);
  try {
    const run = await client.train(job);
    const { auc } = run.metrics;
    run.close();
    return { auc: auc!, tally: tally! };
  } finally {
    await client.stop();
    await worker.stop();
  }
}

async function jobOf({ folder, flights, batchSize }: PoisonOptions): Promise<JobDefinition> {
  const demo = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const steps = Math.floor(flights / batchSize);
  const few = await writeFlights(folder, { steps, batchSize });
  return {
    ...demo,
    data: { ...demo.data, files: [file(few)] },
    fit: { ...demo.fit, batchSize, stepsMax: Math.floor(steps * TRAINED) },
  };
}
