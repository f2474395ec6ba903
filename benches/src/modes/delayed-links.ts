/**
 * Workers that are far from all others: every message to and from one takes a while. How long do workers wait that pull
 * early and push late, and how many more samples per second are trained than one after the other?
 */
import { asp, ssp, type ConsistencySpec } from "@volary/core";
import { delayedLink, type SeededRandom } from "@volary/core/testing";
import type { Link } from "@volary/core/wire";
import { realClock } from "@volary/node-worker";
import { ledgerJob, visitsOf, writeSamples } from "./ledger-job.ts";
import { PacedCluster } from "./paced-cluster.ts";
import type { Pacing } from "./paced-model.ts";
import { idleShareOf, wasEachAppliedOnce } from "./stragglers.ts";

/** One way. */
const DELAY_MS = 20;
const STEP_MS = 100;
const BATCH = 64;
const STEPS_MIN = 20;

export interface DelayedLinks {
  /** Time that workers do not compute; of two modes the longer. */
  overlapIdleShare: number;
  /** Of workers that begin a batch when the one before is applied. */
  inTurnIdleShare: number;
  /** Samples per second over those of such workers; of two modes the fewer. */
  overlapSpeedup: number;
  /** Was each sample's gradient applied, once? */
  overlapEachOnce: boolean;
}

const IN_TURN = ssp({ stalenessSteps: 0 });
const OVERLAPPED = [asp(), ssp({ stalenessSteps: 8 })];

/** @param seconds that each mode takes about */
export async function measureDelayedLinks(o: {
  folder: string;
  seconds: number;
  mode: "measure" | "control";
}): Promise<DelayedLinks> {
  const cluster = new PacedCluster({ throughLink: delayed });
  const isControl = o.mode === "control";
  const steps = Math.max(STEPS_MIN, Math.round((1000 * o.seconds) / STEP_MS));
  try {
    const race = (consistency: ConsistencySpec, ledger: Pacing["ledger"] = "once") =>
      raceOf({ cluster, folder: o.folder, steps, consistency, ledger });
    const inTurn = await race(IN_TURN);
    // In a control nothing overlaps, and a gradient counts twice.
    const raced = isControl ? [await race(IN_TURN, "one-twice")] : [];
    for (const mode of isControl ? [] : OVERLAPPED) raced.push(await race(mode));
    return {
      overlapIdleShare: Math.max(...raced.map(({ idleShare }) => idleShare)),
      inTurnIdleShare: inTurn.idleShare,
      overlapSpeedup: Math.min(...raced.map((each) => each.samplesPerSecond)) / inTurn.samplesPerSecond,
      overlapEachOnce: [inTurn, ...raced].every((each) => wasEachAppliedOnce(each)),
    };
  } finally {
    await cluster.stop();
  }
}

async function raceOf(o: {
  cluster: PacedCluster;
  folder: string;
  steps: number;
  consistency: ConsistencySpec;
  ledger: Pacing["ledger"];
}) {
  const { cluster, folder, steps, consistency, ledger } = o;
  const samples = steps * BATCH;
  const job = ledgerJob({ file: await writeSamples(folder, { samples }), batchSize: BATCH, consistency });
  const run = await cluster.train(job, { paceOf: () => () => STEP_MS, ledger });
  const { trainSeconds, samplesPerSecond } = run;
  const idleShare = idleShareOf(cluster.computed, trainSeconds);
  const visits = await visitsOf(run);
  run.close();
  console.error(
    `${JSON.stringify(consistency)}, ${DELAY_MS} ms each way: ${samplesPerSecond.toFixed(0)} samples a second; ` +
      `idle ${(100 * idleShare).toFixed(1)} %; rows visited ${visits.samples}, ${visits.least} to ${visits.most} times`,
  );
  return { samplesPerSecond, idleShare, visits, samples };
}

/** Always by the most. */
const NO_CHANCE: SeededRandom = { next: () => 0, below: () => 0, between: ({ max }) => max };

const delayed = (link: Link): Link => delayedLink(link, { clock: realClock, random: NO_CHANCE, delayMaxMs: DELAY_MS });
