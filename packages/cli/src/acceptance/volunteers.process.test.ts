/** The demo, trained by a Node worker and two browser tabs together, next to the same plan trained by Node alone. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { sgd } from "@volary/core";
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
/** Updates of each tab after which training may end. */
const UPDATES = 8;

describe.skipIf(NEEDS_BROWSER)("volunteers train the demo [needs browser]", () => {
  let browser: Browser;
  let cluster: Cluster;
  let job: JobDefinition;
  beforeAll(async () => {
    const demo = await loadJobFile(DEMO);
    const { test: _, ...data } = demo.data; // what is learnt is compared by its weights
    // By gradient descent: Adam makes a step of full size of what one sample more or less at the bend of a ReLU makes of a
    // weight that has no other gradient, and which side it is on is a matter of rounding (docs/consistency.md, "Rounding").
    job = {
      ...demo,
      data,
      compile: { ...demo.compile, optimizer: sgd({ learningRate: 0.05 }) },
      fit: { ...demo.fit, batchSize: BATCH },
    };
    browser = await openChromium();
    cluster = await Cluster.local({ ps: 2, workers: 1, baseDir: path.dirname(DEMO) });
  });
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  test("two tabs, one on WebGL and one on WebGPU, and a Node worker learn what Node learns alone, from every row once", async () => {
    let isEnough = false;
    let hasBegun: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      hasBegun = resolve;
    });
    const training = cluster.train(job, {
      onStatus: ({ phase }) => phase === "training" && hasBegun(),
      callbacks: { onBatchEnd: () => ({ stopTraining: isEnough }) },
    });
    await Promise.race([begun, training]);
    const { links } = await cluster.invite({ uses: 2, by: "Ada", about: "Which flights are late?" });
    const tabs = await Promise.all([
      VolunteerTab.open(browser, links[0]!, { device: "webgl" }),
      VolunteerTab.open(browser, links[1]!, { device: "webgpu" }),
    ]);
    await Promise.all(tabs.map((tab) => tab.start()));
    const tooEarly = training.then(() => Promise.reject(new Error("training was over before the tabs had helped")));
    await Promise.race([Promise.all(tabs.map((tab) => tab.accepted(UPDATES))), tooEarly]);
    // A worker tells of its volunteers once a second.
    let leaves: LeafStatus[] = [];
    const told = async () => {
      leaves = (await cluster.status()).workers.flatMap((worker) => worker.leaves ?? []);
      return leaves.map(({ accepted }) => accepted >= UPDATES);
    };
    await expect.poll(told).toEqual([true, true]);
    isEnough = true;
    const together = await training;
    const { step } = together.status;
    const alone = await cluster.train({ ...job, fit: { ...job.fit, stepsMax: step } });

    expect(await Promise.all(tabs.map((tab) => tab.figure("Computes on")))).toEqual(["WebGL", "WebGPU"]);
    // Software adapters may be late now and then.
    for (const { refused } of leaves) expect(Object.keys(refused).filter((code) => code !== "UPDATE_LATE")).toEqual([]);
    for (const { accepted, samples } of leaves) expect(samples).toBeGreaterThanOrEqual(16 * accepted);
    expect(alone.status.step).toBe(step);
    expect(together.status.samples).toBe(alone.status.samples);
    const difference = await denseDifference(together, alone);
    console.info(
      `after ${step} steps dense weights differ by ${difference.toExponential(1)}; ${JSON.stringify(leaves)}`,
    );
    expect(difference).toBeLessThan(1e-4);
  });
});

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
