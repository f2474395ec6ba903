/**
 * What training and tables with replicas notice of a PS node that is killed, hangs, is cut off or is drained, with real
 * processes: nothing is lost, nothing counts twice, and no result changes.
 */
import type { PlainTable } from "@volary/core/client";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import type { TrainOptions } from "./cluster/train-options.ts";
import { clicksJob, differingRows, weightsOf, writeClicks } from "./testing/clicks.ts";
import { FaultCluster, volaryCommand } from "./testing/fault-cluster.ts";
import { PushLedger } from "./testing/push-ledger.ts";

/** Of training; a node is killed in the first half of them and comes back in the second. */
const STEPS = 120;
/** Pushes between what happens to a node. */
const SOME = 200;

async function start(o: { ps: number; workers?: number; replicas: number }): Promise<FaultCluster> {
  const cluster = await FaultCluster.start(o);
  onTestFinished(() => cluster.stop());
  return cluster;
}

test("kill −9 of a PS node in the middle of training, and its return, change no bit of the result", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "volary-failover-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeClicks(folder);
  const cluster = await start({ ps: 3, workers: 2, replicas: 2 });
  const train = async (options: TrainOptions) => {
    const run = await cluster.client.train(clicksJob(folder, { stepsMax: STEPS }), options);
    const trained = { weights: await weightsOf(run), commits: await run.commits(), status: run.status };
    run.close();
    return trained;
  };
  const undisturbed = await train({});
  expect(undisturbed.commits.terms).toHaveLength(1);

  let killed: Promise<void> | undefined;
  let restarted: Promise<void> | undefined;
  const disturbed = await train({
    onStatus: ({ step }) => {
      if (step >= 10) killed ??= cluster.kill("ps-2");
      if (step >= 30) restarted ??= killed!.then(() => cluster.startPs("ps-2"));
    },
  });
  await restarted;
  expect(disturbed.status).toMatchObject({ phase: "done", step: STEPS, workers: 2 });
  const steps = disturbed.commits.commits.map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  expect(disturbed.commits.terms.length).toBeGreaterThan(1);
  expect((await cluster.client.status()).failovers).toBeGreaterThan(0);
  expect(undisturbed.weights.get("both")!.size).toBeGreaterThan(1000);
  expect(differingRows(disturbed.weights, undisturbed.weights)).toEqual([]);
});

/** Sums with replicas on three nodes, that are pushed to from now on. */
async function pushing(cluster: FaultCluster): Promise<{ ledger: PushLedger; table: PlainTable }> {
  const { sums } = await cluster.client.tables({ sums: { dim: 1, update: "sum" } });
  const ledger = new PushLedger(sums);
  await ledger.more(SOME);
  return { ledger, table: sums };
}

/** With 3 replicas on 3 nodes it takes all rows back at once; with 2, rows move to it bit by bit. */
test.each<[string, 2 | 3, (cluster: FaultCluster, ledger: PushLedger) => Promise<void>]>([
  [
    "is killed and started anew",
    2,
    async (cluster, ledger) => {
      await cluster.kill("ps-2");
      await cluster.untilTakenOver("ps-2");
      await ledger.more(SOME);
      await cluster.startPs("ps-2");
    },
  ],
  [
    "hangs until it is given up, and goes on",
    3,
    async (cluster, ledger) => {
      cluster.freeze("ps-2");
      await cluster.untilTakenOver("ps-2");
      await ledger.more(SOME);
      cluster.thaw("ps-2");
    },
  ],
  [
    "is cut off from all until it is given up, and comes back",
    3,
    async (cluster, ledger) => {
      const { inbound, toCoordinator } = cluster.networkOf("ps-2");
      inbound.hold();
      toCoordinator.hold();
      await cluster.untilTakenOver("ps-2");
      await ledger.more(SOME);
      inbound.mend();
      toCoordinator.mend();
    },
  ],
  [
    "loses all connections but that to the coordinator, for a moment",
    2,
    async (cluster, ledger) => {
      const { inbound } = cluster.networkOf("ps-2");
      for (let times = 0; times < 3; times++) {
        inbound.cut();
        inbound.mend();
        await ledger.more(SOME);
      }
    },
  ],
])("every acknowledged push counts once when a PS node %s", async (_, replicas, disturb) => {
  const cluster = await start({ ps: 3, replicas });
  const { ledger } = await pushing(cluster);
  await disturb(cluster, ledger);
  await cluster.untilWhole({ nodes: 3 });
  await ledger.more(SOME);
  expect(await ledger.end()).toMatchObject({ lost: 0, doubled: 0 });
});

test("a drained PS node is stopped without a loss, while all go on pushing", async () => {
  const cluster = await start({ ps: 3, replicas: 2 });
  const { ledger } = await pushing(cluster);
  const [program = "", ...args] = volaryCommand("drain", "ps-2", "--wait", "--json", "--coordinator", cluster.address);
  const { stdout } = await promisify(execFile)(program, args);
  expect(JSON.parse(stdout)).toEqual({ node: "ps-2", held: 0 });
  await ledger.more(SOME);
  await cluster.end("ps-2");
  await cluster.untilWhole({ nodes: 2 });
  await ledger.more(SOME);
  expect(await ledger.end()).toMatchObject({ lost: 0, doubled: 0 });
  expect((await cluster.client.status()).failovers).toBe(0);
});

test("a node that is not there cannot be drained, and the answer names those that are", async () => {
  const cluster = await start({ ps: 1, replicas: 1 });
  await expect(cluster.client.drain("ps-9")).rejects.toThrow(/ps-9.*ps-1/);
});
