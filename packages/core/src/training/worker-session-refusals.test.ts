/** Workers whose steps PS nodes, or each other, refuse, for a while or for good. */
import { describe, expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { DENSE_TABLE } from "../table/index.ts";
import { frame } from "../wire/index.ts";
import { Cluster, isA, train } from "./test-worker-cluster.ts";
import { JOB } from "./test-worker-job.ts";

describe("WorkerSession", () => {
  test("nodes that know of newer heads are believed, and the coordinator is asked for a term, but not at each message", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message, link) => {
      if (node !== 1 || !isA(message, "fence")) return false;
      for (let i = 0; i < 5; i++) link.sendControl({ type: "stale-heads", job: JOB, heads: 99 });
      return true;
    };
    await cluster.start(1);
    await cluster.clock.advance(LIMITS.resendEveryMs - 500);
    expect(cluster.heard("term-request")).toMatchObject([{ term: 1, reason: expect.stringContaining("PS node 1") }]);
    cluster.instead = () => false;
    await cluster.clock.until(cluster.finished);
    cluster.expectTrained();
  });

  test("a node that knows of older heads is passed over", async () => {
    const cluster = new Cluster();
    cluster.instead = (_, message, link) => {
      if (!isA(message, "fence")) return false;
      link.sendControl({ type: "stale-heads", job: JOB, heads: 1 });
      const committed = { step: 7, attempt: 3 };
      link.sendControl({ type: "promise", job: JOB, term: 1, heads: 0, committed, whole: true });
      return false;
    };
    await train(cluster);
    cluster.expectTrained();
    expect(cluster.heard("term-request")).toEqual([]);
  });

  test("what passes of a step's refusals begins a new term, and nothing of the step is lost", async () => {
    for (const code of ["PARTITION_UNAVAILABLE", "STALE_GENERATION", "UNKNOWN_JOB"]) {
      const cluster = new Cluster();
      cluster.instead = (node, message, link) => {
        if (node !== 1 || !("opcode" in message) || message.opcode !== "push" || message.step !== 3) return false;
        cluster.instead = () => false;
        link.sendControl({ type: "error", job: JOB, requestId: message.requestId, code, message: "not now" });
        return true;
      };
      await train(cluster);
      cluster.expectTrained();
      expect(cluster.heard("term-request")).toHaveLength(1);
    }
  });

  test("what should pass but does not fails the job in the end", async () => {
    const cluster = new Cluster();
    cluster.instead = (_, message, link) => {
      if (!("opcode" in message) || message.opcode !== "push") return false;
      const { requestId } = message;
      link.sendControl({ type: "error", job: JOB, requestId, code: "PARTITION_UNAVAILABLE", message: "no disk" });
      return true;
    };
    await train(cluster);
    expect(cluster.heard("fail")[0]).toMatchObject({
      code: "PARTITION_UNAVAILABLE",
      message: expect.stringMatching(/^PS node [12] refused: no disk \(for \d+ s\)$/),
    });
    expect(cluster.heard("term-request").length).toBeLessThanOrEqual(LIMITS.tableRetryMs / LIMITS.resendEveryMs + 1);
  });

  test("a mistake fails the job at once", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message, link) => {
      if (node !== 1 || !isA(message, "push")) return false;
      link.sendControl({ type: "error", job: JOB, requestId: 1, code: "LIMIT_EXCEEDED", message: "no memory" });
      return true;
    };
    await train(cluster);
    expect(cluster.heard("fail")[0]).toMatchObject({ code: "BAD_UPDATE", message: "PS node 1 refused: no memory" });
    expect(cluster.heard("term-request")).toEqual([]);
  });

  test("a worker that read other dense weights ends the job before a step is committed", async () => {
    const cluster = new Cluster();
    let reads = 0;
    cluster.instead = (_, message, link) => {
      if (!("opcode" in message) || message.opcode !== "pull" || message.tables[0] !== DENSE_TABLE.id) return false;
      const { requestId, job } = message;
      const values = new Float32Array(DENSE_TABLE.dim).fill(reads++ === 0 ? 0 : 2 ** -20);
      link.sendFrame(frame({ opcode: "pullReply", requestId, job, values }));
      return true;
    };
    await train(cluster, { workers: 2 });
    expect(cluster.heard("fail")).toMatchObject([
      { code: "WEIGHTS_DIFFER", message: expect.stringContaining("worker 2 are not those of worker 1") },
    ]);
    expect(cluster.steps).toEqual([0, 0, 0, 0]);
  });
});
