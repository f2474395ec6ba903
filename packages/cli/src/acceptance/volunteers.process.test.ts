/** The demo, trained by a Node worker and two browser tabs together, next to the same plan trained by Node alone. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { JobDefinition } from "@volary/core/model";
import type { LeafStatus } from "@volary/core/wire";
import type { Browser } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster } from "../cluster/cluster.ts";
import type { Run } from "../cluster/run.ts";
import { loadJobFile } from "../job-file.ts";
import { NEEDS_BROWSER, openChromium, VolunteerTab } from "../testing/volunteer-tabs.ts";

const DEMO = fileURLToPath(new URL("../../../../examples/flights/job.ts", import.meta.url));
const BATCH = 1024;
const STEPS = 500;
const TIMEOUT_MS = 240_000;

describe.skipIf(NEEDS_BROWSER)("volunteers train the demo [needs browser]", () => {
  let browser: Browser;
  let cluster: Cluster;
  let job: JobDefinition;
  beforeAll(async () => {
    const demo = await loadJobFile(DEMO);
    job = { ...demo, fit: { ...demo.fit, batchSize: BATCH, stepsMax: STEPS, validate: "end" } };
    browser = await openChromium();
    cluster = await Cluster.local({ ps: 2, workers: 1, baseDir: path.dirname(DEMO) });
  }, TIMEOUT_MS);
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  test(
    "two tabs, one on WebGL and one on WebGPU, and a Node worker learn what Node learns alone, from every row once",
    async () => {
      const alone = await cluster.train(job);
      let hasBegun: () => void = () => {};
      const begun = new Promise<void>((resolve) => {
        hasBegun = resolve;
      });
      const training = cluster.train(job, { onStatus: ({ phase }) => phase === "training" && hasBegun() });
      await Promise.race([begun, training]);
      const { links } = await cluster.invite({ uses: 2, by: "Ada", about: "Which flights are late?" });
      const tabs = await Promise.all([
        VolunteerTab.open(browser, links[0]!, { device: "webgl" }),
        VolunteerTab.open(browser, links[1]!, { device: "webgpu" }),
      ]);
      await Promise.all(tabs.map((tab) => tab.start()));
      const leaves = await lastLeaves(cluster, training);
      const together = await training;

      for (const [tab, device] of [
        [tabs[0]!, "WebGL"],
        [tabs[1]!, "WebGPU"],
      ] as const) {
        expect(await tab.figure("Computes on")).toBe(device);
        expect(await tab.steps(), tab.console.join("\n")).toBeGreaterThan(3);
      }
      expect(leaves.map(({ refused }) => refused)).toEqual([{}, {}]);
      for (const { accepted, samples } of leaves) expect(samples).toBeGreaterThanOrEqual(16 * accepted);
      expect(together.status.samples).toBe(alone.status.samples);
      const difference = await denseDifference(together, alone);
      console.info(`dense weights differ by ${difference.toExponential(1)}; leaves: ${JSON.stringify(leaves)}`);
      expect(difference).toBeLessThan(1e-4);
    },
    TIMEOUT_MS,
  );
});

/** What the coordinator knew of volunteers when training ended. */
async function lastLeaves(cluster: Cluster, training: Promise<unknown>): Promise<LeafStatus[]> {
  let leaves: LeafStatus[] = [];
  let isOver = false;
  const end = training.then(() => (isOver = true));
  while (!isOver) {
    const { workers } = await cluster.status();
    const now = workers.flatMap((worker) => worker.leaves ?? []);
    if (now.length >= leaves.length) leaves = now;
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  return leaves;
}

/** ‖Δ‖ / ‖w‖ over all dense weights. */
async function denseDifference(a: Run, b: Run): Promise<number> {
  const [one, other] = [await a.denseWeights(), await b.denseWeights()];
  let away = 0;
  let length = 0;
  for (const [i, weight] of other.entries()) {
    away += (one[i]! - weight) ** 2;
    length += weight ** 2;
  }
  return Math.sqrt(away / length);
}
