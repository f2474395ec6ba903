/**
 * Workers of which one is slow: always the same one, or another one at each step. How many samples per second are
 * trained, how long do workers wait, and how far ahead of the slowest do they run?
 */
import { asp, bsp, ssp, type ConsistencySpec } from "@volary/core";
import { ledgerJob, visitsOf, writeSamples, type Visits } from "./ledger-job.ts";
import type { Computed, PaceMs, Pacing } from "./paced-model.ts";
import { WORKERS, type PacedCluster } from "./paced-cluster.ts";

const STEP_MS = 100;
const SLOW_STEP_MS = 400;
const BATCH = 64;
/** The bound on staleness that is measured, and the one of the mode whose workers are to wait hardly ever. */
export const STALENESS_STEPS = 8;
const WIDE_STALENESS_STEPS = 16;
/** So many that fast workers have the time to come that far ahead. */
const AHEAD_STEPS_MIN = 20;
/** In a control, so that workers run further ahead than they may. */
const STALENESS_OF_CONTROL = 64;
const SEED = 11;

export interface Stragglers {
  quorumSpeedup: number;
  sspSpeedup: number;
  sspIdleShare: number;
  bspIdleShare: number;
  stalenessMax: number;
  /** Was each sample's gradient applied, once? */
  eachAppliedOnce: boolean;
  balancedSpeedup?: number;
  aspSpeedup?: number;
}

/** Which worker is slow, at a step number of its own. */
type SlowAt = (step: number) => number;

/** The last one, at every step. */
const ALWAYS_THE_SAME: SlowAt = () => WORKERS - 1;
/** One of all, drawn anew for each step number. */
const ANOTHER_EACH_STEP: SlowAt = (step) => drawn(step) % WORKERS;
const NOBODY: SlowAt = () => -1;

const paceOf =
  (slowAt: SlowAt) =>
  (worker: number): PaceMs =>
  (step) =>
    slowAt(step) === worker ? SLOW_STEP_MS : STEP_MS;

interface Race {
  consistency: ConsistencySpec;
  slowAt: SlowAt;
  steps: number;
  ledger?: Pacing["ledger"];
}

interface Raced {
  samplesPerSecond: number;
  /** Mean over the workers. */
  idleShare: number;
  stalenessMax: number;
  visits: Visits;
  samples: number;
}

/** @param seconds that `bsp()` takes; the others train as many samples */
export async function measureStragglers(o: {
  cluster: PacedCluster;
  folder: string;
  seconds: number;
  mode: "measure" | "control";
}): Promise<Stragglers> {
  const isControl = o.mode === "control";
  const steps = Math.max(8, Math.round((1000 * o.seconds) / SLOW_STEP_MS));
  const race = (of: Race): Promise<Raced> => raceOf({ ...o, ...of });
  // In a control, modes are bsp() by another name, and no worker of bsp() itself is slow.
  const named = (consistency: ConsistencySpec) => (isControl ? bsp() : consistency);
  const [same, another] = [ALWAYS_THE_SAME, ANOTHER_EACH_STEP];
  const bspOfSame = await race({ consistency: bsp(), slowAt: same, steps });
  const quorum = await race({ consistency: named(bsp({ quorum: 0.75 })), slowAt: same, steps });
  const bspOfAnother = await race({ consistency: bsp(), slowAt: isControl ? NOBODY : another, steps });
  const bounded = await race({
    consistency: named(ssp({ stalenessSteps: STALENESS_STEPS })),
    slowAt: another,
    steps,
  });
  // A worker that is always slow makes the others run ahead as far as they may.
  const stalenessSteps = isControl ? STALENESS_OF_CONTROL : STALENESS_STEPS;
  const ahead = await race({
    consistency: ssp({ stalenessSteps }),
    slowAt: same,
    steps: Math.max(AHEAD_STEPS_MIN, Math.round(steps / 4)),
    ledger: isControl ? "one-twice" : "once",
  });
  const more = isControl ? undefined : await raceMore(race, { same, another, steps });
  const all = [bspOfSame, quorum, bspOfAnother, bounded, ahead, ...Object.values(more ?? {})];
  return {
    quorumSpeedup: quorum.samplesPerSecond / bspOfSame.samplesPerSecond,
    sspSpeedup: bounded.samplesPerSecond / bspOfAnother.samplesPerSecond,
    sspIdleShare: (more?.wide ?? bounded).idleShare,
    bspIdleShare: bspOfAnother.idleShare,
    stalenessMax: Math.max(bounded.stalenessMax, ahead.stalenessMax),
    eachAppliedOnce: all.every(wasEachAppliedOnce),
    ...(more && {
      balancedSpeedup: more.balanced.samplesPerSecond / bspOfSame.samplesPerSecond,
      aspSpeedup: more.asp.samplesPerSecond / bspOfAnother.samplesPerSecond,
    }),
  };
}

async function raceMore(
  race: (of: Race) => Promise<Raced>,
  { same, another, steps }: { same: SlowAt; another: SlowAt; steps: number },
) {
  return {
    balanced: await race({ consistency: bsp({ balance: true }), slowAt: same, steps }),
    asp: await race({ consistency: asp(), slowAt: another, steps }),
    wide: await race({ consistency: ssp({ stalenessSteps: WIDE_STALENESS_STEPS }), slowAt: another, steps }),
  };
}

async function raceOf(o: Race & { cluster: PacedCluster; folder: string }): Promise<Raced> {
  const { cluster, consistency, slowAt, steps, ledger = "once" } = o;
  const samples = steps * BATCH;
  const job = ledgerJob({ file: await writeSamples(o.folder, { samples }), batchSize: BATCH, consistency });
  const run = await cluster.train(job, { paceOf: paceOf(slowAt), ledger });
  const { status, trainSeconds, samplesPerSecond } = run;
  const raced: Raced = {
    samplesPerSecond,
    idleShare: idleShareOf(cluster.computed, trainSeconds),
    stalenessMax: Math.max(status.batches?.stalenessMax ?? 0, leadOf(cluster.computed)),
    visits: await visitsOf(run),
    samples,
  };
  run.close();
  const { visits, idleShare, stalenessMax } = raced;
  console.error(
    `${JSON.stringify(consistency)}: ${status.samples} samples in ${trainSeconds.toFixed(1)} s, ` +
      `${samplesPerSecond.toFixed(0)} a second; idle ${(100 * idleShare).toFixed(1)} %; ahead ${stalenessMax}; ` +
      `dropped ${status.batches?.dropped ?? 0}; rows visited ${visits.samples}, ${visits.least} to ${visits.most} times`,
  );
  return raced;
}

export function wasEachAppliedOnce({ visits, samples }: Pick<Raced, "visits" | "samples">): boolean {
  return visits.samples === samples && visits.least > 0.99 && visits.most < 1.01;
}

/** Time that workers did not compute, over the time that the job was trained. */
export function idleShareOf(computed: readonly (readonly Computed[])[], trainSeconds: number): number {
  const trainMs = 1000 * trainSeconds;
  // What a worker still computes when training ends is dropped.
  const endMs = Math.min(...computed.flat().map(({ from }) => from)) + trainMs;
  const shares = computed.map((spans) => {
    const busyMs = spans.reduce((sum, { from, to }) => sum + Math.min(to, endMs) - from, 0);
    return 1 - busyMs / trainMs;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/**
 * How many steps a worker had begun before one, less those that the slowest had ended by then, at most: as the models
 * saw it, which is never more than by the coordinator's count.
 */
function leadOf(computed: readonly (readonly Computed[])[]): number {
  let lead = 0;
  const working = computed.filter((spans) => spans.length > 0);
  for (const spans of working) {
    spans.forEach(({ from }, begun) => {
      const slowest = Math.min(...working.map((of) => of.filter(({ to }) => to <= from).length));
      lead = Math.max(lead, begun - slowest);
    });
  }
  return lead;
}

/** A number that follows from the step alone (xorshift of a seeded word). */
function drawn(step: number): number {
  let word = (SEED + step) * 0x9e37_79b9;
  word ^= word >>> 15;
  word = Math.imul(word, 0x85eb_ca6b);
  word ^= word >>> 13;
  word = Math.imul(word, 0xc2b2_ae35);
  return (word ^ (word >>> 16)) >>> 0;
}
