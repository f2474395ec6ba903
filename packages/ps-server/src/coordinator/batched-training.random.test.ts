/** Jobs whose batches the coordinator gives out, with workers and nodes that come and go, in any order of events. */
import { describe, expect, it } from "vitest";
import { asp, bsp, localSgd, ssp, type ConsistencySpec } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import type { Sabotage } from "@volary/core/sabotage";
import { seededRandom } from "@volary/core/testing";
import { BatchedCluster, type ModelWorker } from "./test-batched-training.ts";

const EVENTS_MAX = 6000;

interface RunOptions {
  consistency: ConsistencySpec;
  sabotage?: Sabotage;
  validate?: "end" | { everySteps: number };
  /** Nobody joins or is lost. */
  isStable?: boolean;
}

/** Runs a job to its end; who does something next is drawn by lot. */
function run(
  seed: number,
  { consistency, sabotage, validate = { everySteps: 3 }, isStable = false }: RunOptions,
): BatchedCluster {
  const random = seededRandom(seed);
  const cluster = new BatchedCluster({
    fit: { consistency, validate, epochs: 2 },
    workersMin: 1 + random.below(4),
    nodes: 2,
    replicas: 2,
    trainRows: 95,
    testRows: 10,
    ...(sabotage ? { sabotages: new Set([sabotage]) } : {}),
  });
  const { workers, nodes, c } = cluster;
  for (let event = 0; event % 8 > 0 || !cluster.isOver; event++) {
    if (event === EVENTS_MAX)
      throw new Error(`seed ${seed} does not come to its end: ${JSON.stringify(cluster.status)}`);
    const worker = workers[random.below(workers.length)]!;
    const links = [...nodes.keys(), ...workers.map(({ link }) => link)];
    const at = isStable ? 0.03 + 0.97 * random.next() : random.next();
    if (at < 0.01) {
      const isLeftOut = (each: ModelWorker) => each.isOut || c.types(each.link).includes("end");
      const mayGo = workers.some((each) => each !== worker && each.round === cluster.counts.rounds && !isLeftOut(each));
      if (mayGo) cluster.lose(worker);
    } else if (at < 0.02) {
      if (workers.length < 5 && cluster.status.phase === "training") cluster.join();
    } else if (at < 0.023) {
      if (nodes.size > 1) cluster.loseNode([...nodes.keys()][random.below(2)]!);
    } else if (at < 0.03) {
      const term = worker.term?.term ?? 0;
      c.say(worker.link, { type: "term-request", job: cluster.job, term, reason: "a link is lost" });
    } else if (at < 0.1) cluster.pass(random.below(2) === 0 ? 100 : LIMITS.lateMsMin + 500);
    else if (at < 0.7) cluster.heed(links[random.below(links.length)]!);
    else if (worker.given.length > 0) cluster.work(worker);
  }
  return cluster;
}

const MODES: [string, ConsistencySpec][] = [
  ["ssp", ssp({ stalenessSteps: 1 })],
  ["asp", asp()],
  ["a quorum", bsp({ quorum: 0.6 })],
  ["a quorum of all", bsp({ quorum: 1 })],
  ["rounds of batches", localSgd({ every: 3 })],
  ["rounds of time", localSgd({ every: { seconds: 3 } })],
];
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

/** Batches in the order of the steps or rounds that have them. */
function trained(cluster: BatchedCluster): number[] {
  const { consistency } = cluster.manifest.fit;
  if (consistency.mode === "bsp") return cluster.partitions[0]!.steps.flat();
  return consistency.mode === "localSgd" ? cluster.rounds.flat() : [...cluster.applied];
}

const isOnce = (cluster: BatchedCluster) =>
  trained(cluster)
    .toSorted((a, b) => a - b)
    .join() === cluster.batches.join();

describe.each(MODES)("%s", (_, consistency) => {
  it("trains every batch once, and pauses where it should, whatever is lost, late or dropped", () => {
    const counts = { dropped: 0, repeated: 0 };
    for (const seed of SEEDS) {
      const cluster = run(seed, { consistency });
      expect(cluster.status, `seed ${seed} ${cluster.status.message}`).toMatchObject({
        phase: "done",
        step: 20,
        samples: 190,
      });
      expect(isOnce(cluster), `seed ${seed} trained ${trained(cluster).join()}`).toBe(true);
      for (const { steps } of cluster.partitions) expect(steps).toEqual(cluster.partitions[0]!.steps);
      const told = cluster.c.tellings(cluster.client).filter((control) => control.type === "job-status");
      const steps = told.flatMap(({ status }) => status.news?.validations ?? []).map(({ step }) => step);
      expect(steps).toEqual([3, 6, 9, 12, 15, 18, 20]);
      expect(cluster.givenBeforePause, `seed ${seed}`).toEqual([]);
      counts.dropped += cluster.counts.dropped;
      counts.repeated += cluster.counts.repeated;
    }
    expect(counts.repeated).toBeGreaterThan(0);
    expect(counts.dropped > 0).toBe(consistency.mode === "bsp" && consistency.quorum !== 1);
  });
});

describe("bounded delay", () => {
  /**
   * How far any batch that a worker began was ahead of one that was not applied yet, at most. One that is given to a
   * second worker is where the first one was.
   */
  function aheadMax(cluster: BatchedCluster): number {
    const begun = new Map<number, number>();
    const grants = cluster.grants.toSorted((a, b) => b.batch.lease - a.batch.lease);
    for (const { batch } of grants) begun.set(batch.batch, batch.begun);
    let ahead = 0;
    for (const { batch, applied } of grants)
      for (const [other, at] of begun) if (!applied.has(other)) ahead = Math.max(ahead, begun.get(batch.batch)! - at);
    return ahead;
  }

  it.each([0, 1, 3])("of %i steps holds in any order of events, and is used", (stalenessSteps) => {
    let [ahead, repeated] = [0, 0];
    for (const seed of SEEDS) {
      const cluster = run(seed, { consistency: ssp({ stalenessSteps }), validate: "end", isStable: true });
      expect(cluster.counts.stalenessMax).toBeLessThanOrEqual(stalenessSteps);
      expect(aheadMax(cluster)).toBeLessThanOrEqual(stalenessSteps);
      ahead = Math.max(ahead, cluster.counts.stalenessMax);
      repeated += cluster.counts.repeated;
      for (const { worker } of cluster.workers) {
        const counts = cluster.grants.filter((grant) => grant.worker === worker).map(({ batch }) => batch.begun);
        expect(counts.every((count, i) => i === 0 || count > counts[i - 1]!)).toBe(true);
      }
    }
    expect(ahead).toBe(stalenessSteps);
    expect(repeated).toBeGreaterThan(0);
  });

  it("is missed where it is not asked", () => {
    const consistency = ssp({ stalenessSteps: 1 });
    const run1 = (seed: number) => run(seed, { consistency, sabotage: "ignore-staleness-bound", isStable: true });
    expect(SEEDS.some((seed) => aheadMax(run1(seed)) > 1)).toBe(true);
  });
});

it.each<[Sabotage, ConsistencySpec]>([
  ["drop-without-return", bsp({ quorum: 0.6 })],
  ["accept-late-slot", bsp({ quorum: 0.6 })],
  ["forget-lost-batches", asp()],
  ["forget-lost-batches", bsp({ quorum: 0.6 })],
  ["forget-lost-batches", localSgd({ every: 3 })],
])("%s is noticed", (sabotage, consistency) => {
  expect(SEEDS.some((seed) => !isOnce(run(seed, { consistency, sabotage })))).toBe(true);
});
