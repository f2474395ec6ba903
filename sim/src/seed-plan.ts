/** What a seed draws before its cluster starts: sizes, the job, the load, and which faults may happen. */
import { asp, average, bsp, localSgd, nesterov, ssp, type ConsistencySpec } from "@volary/core/consistency";
import type { PartitionFunction } from "@volary/core/partition";
import { seededRandom, type SeededRandom } from "@volary/core/testing";
import type { PsBounds } from "@volary/ps-server";
import type { PlainLoad } from "./plain-run.ts";
import type { TableCare, ToyFit } from "./toy-job.ts";
import { withVolunteers, type VolunteersPlan } from "./volunteers-plan.ts";

export interface SeedPlan {
  seed: number;
  psNodes: number;
  replicas: number;
  partitionFunction: PartitionFunction;
  psBounds: PsBounds;
  /** Each partition's rows may take so much memory; undefined where they may take what they like. */
  roomBytes: number | undefined;
  /** Clocks run faster or slower by at most this share. */
  clockDrift: number;
  /** Share of connections that are slow. */
  slowShare: number;
  store: { delayMaxMs: number; full: { fromMs: number; toMs: number }[] };
  /** None where the coordinator crashes: training does not outlive it. */
  training: Training | undefined;
  /** Of plain tables, which share `load`; none where there is no load. */
  clients: number;
  load: PlainLoad;
  faults: FaultPlan;
}

export interface Training {
  workers: number;
  fit: ToyFit;
  care: TableCare;
  /** Are gradients whole numbers, so that the order in which they are applied does not matter? */
  isCounting: boolean;
  finishAfterMs: number | undefined;
  /** A worker computes at most this long at a step. */
  computeMaxMs: number;
  /** The first worker computes so many times as long. */
  slowness: number;
  /** The same job runs once more, undisturbed, and must leave the same bits. */
  isCompared: boolean;
  volunteers: VolunteersPlan | undefined;
}

export interface FaultPlan {
  count: number;
  /** Time between two of them is at most this. */
  everyMaxMs: number;
  ofWorkers: boolean;
  ofCoordinator: "none" | "pauses" | "crashes";
}

export function seedPlan(seed: number): SeedPlan {
  const random = seededRandom(seed);
  const replicas = 1 + random.below(3);
  const psNodes = Math.max(1, Math.min(4, replicas - 1 + random.below(4)));
  const ofCoordinator = (["none", "none", "none", "none", "pauses", "pauses", "crashes"] as const)[random.below(7)]!;
  const training =
    ofCoordinator === "crashes" || random.below(6) === 0 ? undefined : withVolunteers(trainingOf(seed), seed);
  const clients = training ? random.below(4) : 1 + random.below(3);
  const isHot = random.below(10) === 0;
  const isLong = random.below(3) === 0;
  const forMs = isHot || isLong ? random.between({ min: 5000, max: 9000 }) : random.between({ min: 300, max: 4000 });
  return {
    seed,
    psNodes,
    replicas,
    partitionFunction: random.below(4) === 0 ? { kind: "range", keyBits: 40 } : { kind: "hash" },
    psBounds: boundsOf(random),
    roomBytes: roomOf(random, training),
    clockDrift: random.below(2) === 0 ? 0 : 0.05,
    slowShare: [0, 0.2, 0.6][random.below(3)]!,
    store: storeOf(random, ofCoordinator),
    training,
    clients: isLong ? Math.max(2, clients) : clients,
    load: {
      operations: isHot ? 300 : isLong ? 150 : 10 + random.below(60),
      forMs,
      sharedKeys: isHot ? 2 : 6 + random.below(40),
      exports: seed % 3,
    },
    faults: {
      count: isLong ? 3 + random.below(6) : random.below(9),
      everyMaxMs: [150, 600, 1500][random.below(3)]!,
      ofWorkers: training !== undefined && !training.isCompared,
      ofCoordinator,
    },
  };
}

/** Steps with volunteers are long, and their rows need room. */
function roomOf(random: SeededRandom, training: Training | undefined): number | undefined {
  const bytes = random.below(5) === 0 ? 600 + random.below(1400) : undefined;
  return training?.volunteers ? undefined : bytes;
}

function storeOf(random: SeededRandom, ofCoordinator: FaultPlan["ofCoordinator"]): SeedPlan["store"] {
  if (ofCoordinator === "none" && random.below(4) > 0) return { delayMaxMs: 0, full: [] };
  const fromMs = random.between({ min: 0, max: 3000 });
  return {
    delayMaxMs: [2, 20, 300][random.below(3)]!,
    full: random.below(4) === 0 ? [{ fromMs, toMs: fromMs + random.between({ min: 100, max: 2500 }) }] : [],
  };
}

/** Most seeds have replies and copies of several parts, and PS nodes that forget the names of key lists. */
function boundsOf(random: SeededRandom): PsBounds {
  return {
    replyPartBytes: [1, 40, 200, 1_048_576][random.below(4)]!,
    keyListsMax: [0, 1, 3, 64][random.below(4)]!,
    copyPartBytes: [1, 60, 400, 1_048_576][random.below(4)]!,
  };
}

const TRAINING_SALT = 0x7a7a;
const MODE_SALT = 0x30de;

/** In half of the jobs the coordinator gives out batches; they are not compared with an undisturbed run. */
function trainingOf(seed: number): Training {
  const training = stepsOf(seed);
  const random = seededRandom((seed ^ MODE_SALT) >>> 0);
  if (training.isCompared || random.below(5) < 2) return training;
  const consistency = modeOf(random);
  const isAtOnce = consistency.mode !== "bsp";
  const isCounting = isAtOnce && random.below(6) > 0;
  return {
    ...training,
    fit: { ...training.fit, consistency },
    care: isCounting ? {} : training.care,
    isCounting,
    slowness: [1, 1, 4, 20][random.below(4)]!,
  };
}

function modeOf(random: SeededRandom): ConsistencySpec {
  switch (random.below(4)) {
    case 0:
      return asp();
    case 1:
      return ssp({ stalenessSteps: random.below(5) });
    case 2:
      return bsp({ quorum: [0.4, 0.5, 0.7, 1][random.below(4)]! });
    default: {
      const compression = (["float32", "float32", "float32", "bfloat16", "int8"] as const)[random.below(5)]!;
      const every = random.below(4) === 0 ? { seconds: random.between({ min: 0.05, max: 2 }) } : 1 + random.below(6);
      return localSgd({ every, outer: random.below(2) === 0 ? average() : nesterov(0.7, 0.5), compression });
    }
  }
}

/** How a seed's job is validated and when it ends: half of the jobs only at their end. */
function stepsOf(seed: number): Training {
  const random = seededRandom((seed ^ TRAINING_SALT) >>> 0);
  const isCompared = random.below(6) === 0;
  const training: Training = {
    workers: 1 + random.below(4),
    fit: {},
    care: careOf(random),
    isCounting: false,
    slowness: 1,
    finishAfterMs: undefined,
    computeMaxMs: [0, 5, 60, 200][random.below(4)]!,
    isCompared,
    volunteers: undefined,
  };
  if (random.below(2) === 0) return training;
  training.fit = {
    validate: random.below(2) === 0 ? "epoch" : { everySteps: 1 + random.below(8) },
    shuffle: random.below(4) > 0,
  };
  switch (random.below(4)) {
    case 0:
      training.fit.earlyStopping = { monitor: "mse", patience: random.below(3), minDelta: 0.001, mode: "min" };
      break;
    case 1:
      training.fit.earlyStopping = { monitor: "loss", patience: 1, minDelta: 1, mode: "min" };
      break;
    case 2:
      if (!isCompared) training.finishAfterMs = random.between({ min: 1, max: 1000 });
      break;
    default:
  }
  return training;
}

/** Half of the seeds have tables that count keys before they give them a row, half have tables that let rows go. */
function careOf(random: SeededRandom): TableCare {
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
