/** Workers that join, open a job and train it. */
import { describe, expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { SimulatedClock, SimulatedNetwork } from "../testing/index.ts";
import type { Link } from "../wire/index.ts";
import { Cluster, MOMENTS, train } from "./test-worker-cluster.ts";
import { STEPS } from "./test-worker-job.ts";
import { WorkerSession } from "./worker-session.ts";

describe("WorkerSession", () => {
  test("has joined when the coordinator says so, not when it has asked", async () => {
    const clock = new SimulatedClock();
    const network = new SimulatedNetwork({ clock, seed: 1 });
    const { dialer } = network.host("worker");
    let coordinator: Link | undefined;
    const { address } = network.host("coordinator").listen({
      name: "coordinator",
      onLink: (link) => {
        coordinator = link;
        link.listen({ onControl: () => {}, onFrame: () => {}, onClose: () => {} });
      },
    });
    const session = new WorkerSession({
      name: "worker",
      address: "",
      backend: "none",
      coordinator: await clock.until(dialer.dial(address, { role: "worker", name: "worker" })),
      dialer,
      clock,
      openDataset: () => Promise.reject(new Error("no job is given")),
      openModel: () => Promise.reject(new Error("no job is given")),
      log: () => {},
    });
    let hasJoined = false;
    void session.joined.then(() => (hasJoined = true));
    await clock.advance(1000);
    expect(hasJoined).toBe(false);
    coordinator!.sendControl({ type: "worker-joined", worker: 7 });
    await clock.until(session.joined);
    session.stop();
  });

  test("trains each sample once", async () => {
    const cluster = new Cluster();
    await train(cluster, { workers: 2 });
    cluster.expectTrained();
  });

  test("trains each sample once when slices change their lengths, at whatever moment", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      const lengths = [[96, 32, 64], [8, 512, 8], undefined, [1, 1, 2]];
      cluster.sliceShares = (members) => lengths[(i + cluster.term) % lengths.length]?.slice(0, members);
      await train(cluster, { workers: 3, afterMs, fault: () => cluster.beginTerm() });
      cluster.expectTrained();
    }
  });

  test("tells how long the samples of its slices took", async () => {
    const cluster = new Cluster();
    cluster.sliceShares = (members) => (members === 2 ? [3, 1] : undefined);
    cluster.modelMs = (samples) => 10 * samples;
    await train(cluster, { workers: 2 });
    await cluster.clock.advance(LIMITS.stepTimesEveryMs);
    cluster.expectTrained();
    const told = cluster.heard("step-times");
    expect(told.length).toBeGreaterThanOrEqual(4); // the first step of each worker, and all later ones
    for (const { samples, computeMs } of told) expect(computeMs).toBe(10 * samples);
    const last = told.filter(({ step }) => step === STEPS).map(({ term, samples }) => ({ term, samples }));
    const slices = Array.from({ length: 2 }, () => expect.objectContaining({ term: cluster.term }));
    expect(last).toEqual(slices);
    expect(Math.max(...last.map(({ samples }) => samples))).toBe(3 * Math.min(...last.map(({ samples }) => samples)));
  });

  test("a job is opened while a head is lost, once another has taken over", async () => {
    for (const takeOverMs of [1, 100, 20_000]) {
      const cluster = new Cluster();
      cluster.kill(1);
      await train(cluster, { afterMs: takeOverMs, fault: () => cluster.takeOver(1, 3) });
      cluster.expectTrained();
    }
  });

  test("a job that cannot be opened fails with the node that is missing", async () => {
    const cluster = new Cluster();
    cluster.kill(1);
    await train(cluster);
    expect(cluster.heard("fail")).toMatchObject([
      { code: "PARTITION_UNAVAILABLE", message: expect.stringContaining("ps-1") },
    ]);
    expect(cluster.clock.now()).toBeGreaterThan(LIMITS.tableRetryMs);
  });
});
