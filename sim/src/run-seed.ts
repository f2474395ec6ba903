/** One simulated life of a cluster: sizes, faults and their times are drawn from one seed. */
import { seededRandom } from "@volary/core/testing";
import type { PsBounds } from "@volary/ps-server";
import { checkRun } from "./check-run.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { toyManifest, type TableCare, type ToyFit } from "./toy-job.ts";

export interface SeedResult {
  seed: number;
  /** What went wrong, if anything. */
  faults: string[];
  crashes: number;
  cuts: number;
  holds: number;
  joins: number;
  terms: number;
  commits: number;
  /** Evaluations of the held-out rows before the end of training. */
  validations: number;
  /** Did training end before its last step? */
  endedEarly: boolean;
  /** Steps that were committed under a later term than the one before. */
  repeats: number;
  pushes: number;
  unknownKeys: number;
  /** Rows that went to disk. */
  spilled: number;
  trace: string[];
}

const LIMIT_MS = 600_000;
/** What the rows of nearly every step need in one partition, and little more; ranges are filled unevenly. */
const ROOM_BYTES = { hash: 1000, range: 1300 };

export async function runSeed(seed: number): Promise<SeedResult> {
  const random = seededRandom(seed);
  // The toy's keys are below 2^40.
  const byRange = seededRandom(seed ^ 0x5eed).below(4) === 0;
  const partitionFunction = byRange ? ({ kind: "range", keyBits: 40 } as const) : ({ kind: "hash" } as const);
  const psNodes = Array.from({ length: 1 + random.below(3) }, (_, i) => `ps-${i}`);
  const care = careOf(seed);
  const roomBytes = roomOf(seed, { care, room: ROOM_BYTES[partitionFunction.kind] });
  const cluster = new SimulatedCluster({ seed, partitionFunction, psBounds: boundsOf(seed), roomBytes });
  const spilledBefore = cluster.onDisk.spilled;
  const counts = { crashes: 0, cuts: 0, holds: 0, joins: 0 };
  const workers = 1 + random.below(4);
  const { fit, finishAfterMs } = trainingOf(seed);
  const manifest = toyManifest({ workersMin: workers, seed, fit, care });
  const result = async (): Promise<
    Omit<SeedResult, "seed" | "pushes" | "unknownKeys" | "spilled" | "trace" | keyof typeof counts>
  > => {
    cluster.startCoordinator();
    for (const name of psNodes) await cluster.startPsNode(name);
    for (let i = 0; i < workers; i++) await cluster.startWorker(`worker-${i}`);
    const finished = await cluster.runJob(manifest, finishAfterMs === undefined ? {} : { finishAfterMs });
    // A step that is too much for what little memory there is ends its job, as it should.
    const isFull = roomBytes !== undefined && finished.status.message?.includes("no room for ") === true;
    const repeats = finished.commits.filter(
      ({ attempt }, i) => i > 0 && attempt !== finished.commits[i - 1]!.attempt,
    ).length;
    return {
      faults: isFull ? [] : await checkRun({ manifest, finished, wasFinished: finishAfterMs !== undefined }),
      terms: finished.terms.length,
      commits: finished.commits.length,
      validations: Math.max(0, finished.history.validations.length - 1),
      endedEarly: finished.commits.length < finished.status.steps,
      repeats,
    };
  };
  const injectFault = (): void => {
    const names = cluster.workers;
    const worker = names[random.below(Math.max(1, names.length))];
    const other = [...names, ...psNodes][random.below(names.length + psNodes.length)];
    // Before the first term only cuts, so that its members are the workers the job began with.
    switch (cluster.training ? random.below(4) : 1) {
      case 0:
        // With the last worker that has the dense weights, a job is lost for good: that is no fault of the cluster.
        if (!worker || (worker.startsWith("worker-") && names.filter((name) => name.startsWith("worker-")).length < 2))
          return;
        cluster.crashWorker(worker);
        counts.crashes++;
        // A job waits for as many workers as it asked for, so someone takes the place.
        if (names.length <= workers) void cluster.startWorker(`replacement-${counts.crashes}`).catch(() => {});
        break;
      case 1:
        if (!worker || worker === other) return;
        cluster.cut(worker, other!);
        counts.cuts++;
        break;
      case 2:
        if (!worker || worker === other) return;
        cluster.hold(worker, other!, random.between({ min: 1, max: 4000 }));
        counts.holds++;
        break;
      default:
        if (names.length >= 5) return;
        counts.joins++;
        void cluster.startWorker(`joiner-${counts.joins}`).catch(() => {});
    }
  };
  for (let at = 0, n = random.below(7); n > 0; n--) {
    at += random.between({ min: 2, max: 150 });
    cluster.clock.after(at, injectFault);
  }
  const outcome = await cluster.clock.until(result(), { limitMs: LIMIT_MS }).catch((error: unknown) => ({
    faults: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    terms: 0,
    commits: 0,
    validations: 0,
    endedEarly: false,
    repeats: 0,
  }));
  cluster.stop();
  const { spilled, rows, bytes } = cluster.onDisk;
  if (rows > 0 || bytes > 0) outcome.faults.push(`${rows} rows and ${bytes} bytes are left on disk`);
  return {
    seed,
    ...counts,
    ...outcome,
    pushes: cluster.pushes,
    unknownKeys: cluster.unknownKeys,
    spilled: spilled - spilledBefore,
    trace: cluster.trace,
  };
}

const BOUNDS_SALT = 0xb0b0;

/** Most seeds have replies of several parts, and PS nodes that forget the names of key lists. */
function boundsOf(seed: number): PsBounds {
  const random = seededRandom((seed ^ BOUNDS_SALT) >>> 0);
  return {
    replyPartBytes: [1, 40, 200, 1_048_576][random.below(4)]!,
    keyListsMax: [0, 1, 3, 64][random.below(4)]!,
  };
}

const ROOM_SALT = 0x3e30;

/** Half of the seeds whose tables keep all rows have little memory for them. */
function roomOf(seed: number, { care, room }: { care: TableCare; room: number }): number | undefined {
  const random = seededRandom((seed ^ ROOM_SALT) >>> 0);
  return care.eviction || random.below(2) === 0 ? undefined : room + random.below(400);
}

const CARE_SALT = 0xca4e;

/** Half of the seeds have tables that count keys before they give them a row, half have tables that let rows go. */
function careOf(seed: number): TableCare {
  const random = seededRandom((seed ^ CARE_SALT) >>> 0);
  const [isCounted, isBounded] = [random.below(2) === 0, random.below(2) === 0];
  const counter = { kind: "exact", keysMax: 8 + random.below(60) } as const;
  const admission = { kind: "count", updates: 2 + random.below(2), counter } as const;
  const eviction = {
    order: random.below(2) === 0 ? ("least-recent" as const) : ("least-frequent" as const),
    rowsMax: 4 + random.below(60),
    ...(random.below(2) === 0 && { expireSteps: 1 + random.below(40) }),
  };
  return { ...(isCounted && { admission }), ...(isBounded && { eviction }) };
}

/** Chosen so that the seeds that once showed a bug keep the job they showed it with. */
const TRAINING_SALT = 0x7a7a;

/** How a seed's job is validated and when it ends: half of the jobs only at their end. */
function trainingOf(seed: number): { fit: ToyFit; finishAfterMs?: number } {
  const random = seededRandom((seed ^ TRAINING_SALT) >>> 0);
  if (random.below(2) === 0) return { fit: {} };
  const fit: ToyFit = {
    validate: random.below(2) === 0 ? "epoch" : { everySteps: 1 + random.below(8) },
    shuffle: random.below(4) > 0,
  };
  switch (random.below(4)) {
    case 0:
      return {
        fit: { ...fit, earlyStopping: { monitor: "mse", patience: random.below(3), minDelta: 0.001, mode: "min" } },
      };
    case 1:
      return { fit: { ...fit, earlyStopping: { monitor: "loss", patience: 1, minDelta: 1, mode: "min" } } };
    case 2:
      return { fit, finishAfterMs: random.between({ min: 1, max: 250 }) };
    default:
      return { fit };
  }
}
