/** Workers and the step transaction while PS nodes and links are lost, in training and in evaluation. */
import { describe, expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import type { ControlType } from "../wire/index.ts";
import { Cluster, isA, MOMENTS, train } from "./test-worker-cluster.ts";
import { DIM, JOB, ROWS, STEPS } from "./test-worker-job.ts";

describe("WorkerSession", () => {
  test("trains each sample once when a head is lost, at whatever moment", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      await train(cluster, {
        workers: 1 + (i % 2),
        afterMs,
        fault: () => {
          cluster.kill(1);
          cluster.clock.after(i % 7, () => cluster.takeOver(1, 2 + (i % 2)));
        },
      });
      cluster.expectTrained();
    }
  });

  test("trains each sample once when heads are lost one after another", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      await train(cluster, {
        workers: 2,
        afterMs,
        fault: () => {
          cluster.kill(1);
          cluster.takeOver(1, 3);
          cluster.clock.after(i % 5, () => {
            cluster.kill(3);
            cluster.takeOver(3, 2);
          });
        },
      });
      cluster.expectTrained();
    }
  });

  test("what was left out of an attempt that is given up is not kept", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      cluster.fit = { wire: { gradients: { topK: 0.5 } } };
      // Each key comes once: of a step's four rows two are sent, and none is longer for having been kept before.
      await train(cluster, { afterMs, fault: () => (cluster.kill(1), cluster.takeOver(1, 3)) });
      expect(cluster.heard("fail")).toEqual([]);
      expect(cluster.steps).toEqual([STEPS, STEPS, STEPS, STEPS]);
      expect(cluster.shares.reduce((sum, { applied }) => sum + applied, 0)).toBe((ROWS / 2) * DIM);
    }
  });

  test("repeats what a broken link has lost as soon as there is another", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      const fault = () => cluster.network.cut({ between: ["worker-1", "ps-1"] });
      await train(cluster, { workers: 2, afterMs, fault });
      cluster.expectTrained();
      expect(cluster.clock.now()).toBeLessThan(LIMITS.resendEveryMs);
    }
  });

  test("finishes a step that a part of a lost head's partitions had committed", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message) => {
      if (node !== 1 || !("type" in message) || message.type !== "commit" || message.step !== 3) return false;
      cluster.instead = () => false;
      cluster.commit(cluster.shares[0]!, message);
      cluster.kill(1);
      cluster.takeOver(1, 3);
      return true;
    };
    await train(cluster, { workers: 2 });
    cluster.expectTrained();
    expect(cluster.heard("progress").flatMap(({ commits }) => commits)).toContainEqual(
      expect.objectContaining({ step: 3, attempt: cluster.term - 1 }),
    );
  });

  test("a head that is not lost but replaced is left alone", async () => {
    const cluster = new Cluster();
    const late: ControlType[] = [];
    await train(cluster, {
      afterMs: 50,
      fault: () => {
        cluster.takeOver(1, 3);
        cluster.clock.after(10, () => {
          cluster.instead = (node, message) => node === 1 && "type" in message && late.push(message.type) > 0;
        });
      },
    });
    cluster.expectTrained();
    expect(late).toEqual([]);
  });

  test("a term whose map has not come waits for it, and asks for it", async () => {
    const cluster = new Cluster();
    cluster.tellMap = () => {};
    await train(cluster, {
      afterMs: 50,
      fault: () => {
        cluster.kill(1);
        cluster.takeOver(1, 3);
      },
    });
    cluster.expectTrained();
    expect(cluster.heard("map-request")).toHaveLength(1);
  });

  describe("evaluating", () => {
    /** A trained job whose evaluation begins. */
    const evaluating = async (cluster: Cluster): Promise<void> => {
      await train(cluster);
      cluster.tellWorkers({ type: "evaluate", job: JOB, term: cluster.term, step: STEPS });
    };

    test("goes on with the head that takes over", async () => {
      for (const takeOverMs of [0, 1, 3, 10, 300, 20_000]) {
        const cluster = new Cluster();
        await evaluating(cluster);
        cluster.kill(1);
        cluster.clock.after(takeOverMs, () => cluster.takeOver(1, 3));
        await cluster.clock.advance(takeOverMs + 1000);
        expect(cluster.heard("evaluated")).toHaveLength(1);
        expect(cluster.heard("fail")).toEqual([]);
      }
    });

    test("does not wait for an answer of a node that is the head no more, or that never comes", async () => {
      for (const isReplaced of [true, false]) {
        const cluster = new Cluster();
        await evaluating(cluster);
        let swallowed = 0;
        cluster.instead = (node, message) =>
          node === 1 && isA(message, "pull") && (isReplaced || swallowed === 0) && ++swallowed > 0;
        await cluster.clock.advance(100);
        expect(swallowed).toBe(1);
        if (isReplaced) cluster.takeOver(1, 2, { stays: true });
        await cluster.clock.advance(isReplaced ? 1000 : 2 * LIMITS.resendEveryMs + 100);
        expect(cluster.heard("evaluated")).toHaveLength(1);
      }
    });

    test("fails when nobody takes over", async () => {
      const cluster = new Cluster();
      await evaluating(cluster);
      cluster.kill(1);
      await cluster.clock.advance(LIMITS.tableRetryMs + 1000);
      expect(cluster.heard("fail")).toMatchObject([{ code: "PARTITION_UNAVAILABLE" }]);
    });
  });
});
