/**
 * Volunteers on a real cluster, in real tabs: that a tab may be closed, frozen, cut off, reloaded and stopped at any
 * moment, and that those who cheat are refused with a reason while the honest go on. Training loses nothing by it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StepGradients } from "@volary/core/training";
import type { GatewayStatus, JobStatus, LeafStatus } from "@volary/core/wire";
import type { Browser } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import type { InviteOptions } from "./cluster/invitation.ts";
import type { Run } from "./cluster/run.ts";
import { BATCH, CLICKS, clicksJob, STEPS_PER_EPOCH, writeClicks } from "./testing/clicks.ts";
import { enter, joinWith } from "./testing/node-volunteer.ts";
import { TcpProxy } from "./testing/tcp-proxy.ts";
import { NEEDS_BROWSER, openChromium, openContext, VolunteerTab } from "./testing/volunteer-tabs.ts";

/** More than there is time for: training ends once all was seen. */
const EPOCHS = 500;
const AWAY_MS = 10_000;

describe.skipIf(NEEDS_BROWSER)("volunteers [needs browser]", () => {
  let folder = "";
  let browser: Browser;
  let cluster: Cluster;
  /** Between tabs and the gateway. */
  let network: TcpProxy;
  let training: Training;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "volary-volunteers-"));
    await writeClicks(folder);
    browser = await openChromium();
    cluster = await Cluster.local({ ps: 2, workers: 1 });
    network = await TcpProxy.start(Number(new URL(cluster.gateway!).port));
  });
  afterAll(async () => {
    await browser?.close();
    await network?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    training = await Training.begin(cluster, folder);
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await training.end();
  });

  const invite = async (options: InviteOptions = {}): Promise<readonly string[]> =>
    (await cluster.invite({ by: "Ada", about: "Who clicks?", gateway: throughNetwork(network), ...options })).links;
  const open = async (): Promise<VolunteerTab> => {
    const tab = await VolunteerTab.open(browser, (await invite())[0]!, { device: "cpu" });
    await tab.start();
    return tab;
  };

  test("closed, frozen, cut off and reloaded tabs keep nobody waiting, come back, and no row is lost or counted twice", async () => {
    const [closed, frozen, other] = await Promise.all([open(), open(), open()]);
    await Promise.all([closed, frozen, other].map((tab) => tab.accepted(5)));

    await closed.close();
    await training.goesOn();

    const devtools = await frozen.context.newCDPSession(frozen.page);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    await training.goesOn();
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    await frozen.accepted((await frozen.steps()) + 5);

    const before = await other.steps();
    network.hold();
    await training.goesOn();
    await delay(AWAY_MS);
    await training.goesOn();
    network.mend();
    await other.accepted(before + 5);

    network.cut();
    await training.goesOn();
    network.mend();
    await other.accepted((await other.steps()) + 5);

    await other.page.reload();
    await other.start();
    await other.accepted(5);

    const run = await training.end();
    expect(run.status.samples).toBe(samplesOf(run.status.step));
    expect(await cluster.status()).toMatchObject({ volunteers: { redeemed: 3, expelled: 0 } });
  });

  test("Stop ends a tab's work, and nothing is sent after it", async () => {
    let gateway: GatewayStatus;
    const connected = async () => (gateway = await gatewayOf(cluster)).connected; // told once a second
    await expect.poll(connected).toBe(0);
    const tab = await open();
    await tab.accepted(5);
    await expect.poll(connected).toBe(1);
    await tab.stop();
    const clickedMs = Date.now();
    while (tab.page.workers().length > 0) await tab.page.waitForTimeout(10);
    console.info(`the Web Worker was gone ${Date.now() - clickedMs} ms after the click`);
    await expect.poll(connected).toBe(0);
    await Promise.all([training.goesOn(), delay(1_500)]);
    expect(await gatewayOf(cluster)).toEqual(gateway!);
  });

  test("tokens, origins, invitations and gradients that are wrong are refused with a counted reason; the honest go on", async () => {
    const before = (await gatewayOf(cluster)).refused;
    const honest = await open();
    await honest.accepted(5);
    const [used, foreign, tampered, old] = [
      (await invite())[0]!,
      (await invite())[0]!,
      (await invite())[0]!,
      (await invite({ forMs: 1 }))[0]!,
    ];

    expect((await enter(used)).status).toBe(200);
    expect((await enter(used)).body).toMatchObject({ code: "TOKEN_USED", message: expect.any(String) as string });
    await delay(10);
    expect((await enter(old)).body.code).toBe("TOKEN_EXPIRED");
    expect((await enter(old.replace(/#t=./, "#t=!"))).body.code).toBe("TOKEN_UNKNOWN");
    expect((await enter(foreign, { origin: "https://elsewhere.example" })).body.code).toBe("WRONG_ORIGIN");
    const [watches, computes] = await invite({ role: "observer", uses: 2 });
    const observer = await VolunteerTab.open(browser, watches!);
    await expect.poll(() => observer.figure("Loss now")).toMatch(/^\d/);
    expect(observer.page.workers()).toEqual([]);
    const intruder = await joinWith(computes!, (right) => right);
    expect(await intruder.closed).toMatchObject({ code: "TOKEN_ROLE", mayReturn: false });
    expect(intruder.accepted).toBe(0);

    const reader = await openContext(browser);
    const page = await reader.newPage();
    await page.route("**/api/join", async (route) => {
      const response = await route.fetch();
      const body = (await response.json()) as { invitation: { text: string } };
      body.invitation.text = body.invitation.text.replace("Who clicks?", "Who Clicks?");
      await route.fulfill({ response, json: body });
    });
    await page.goto(tampered);
    await page.getByText(/somebody may have changed it/).waitFor();

    const lies = LIES.map(async ([code, change]) => {
      const liar = await joinWith((await invite())[0]!, change);
      const end = await liar.closed;
      expect(liar.refused.filter(isNotLate), code).toEqual([code, code, code]);
      expect(end).toMatchObject({ code, mayReturn: false });
      expect(end.reason).toMatch(/gradients|loss/);
      expect(liar.accepted).toBe(0);
    });
    await Promise.all(lies);

    await honest.accepted((await honest.steps()) + 5);
    // A worker tells of its volunteers once a second: the last liar may be among them for a moment.
    let leaves: LeafStatus[] = [];
    const told = async () => (leaves = (await cluster.status()).workers.flatMap((worker) => worker.leaves ?? []));
    await expect.poll(told).toHaveLength(1);
    expect(await observer.status()).toMatch(/as it happens/);
    expect(Object.keys(leaves[0]!.refused).filter(isNotLate)).toEqual([]);
    await expect
      .poll(async () => {
        const { refused } = await gatewayOf(cluster);
        return GATEWAY_CODES.filter((code) => (refused[code] ?? 0) <= (before[code] ?? 0));
      })
      .toEqual([]);
    await expect.poll(() => cluster.status()).toMatchObject({ volunteers: { expelled: LIES.length } });
    const run = await training.end();
    expect(run.status.samples).toBe(samplesOf(run.status.step));
  });
});

const GATEWAY_CODES = ["TOKEN_USED", "TOKEN_EXPIRED", "TOKEN_UNKNOWN", "WRONG_ORIGIN", "TOKEN_ROLE"];

const filled = (value: number) => (right: StepGradients) => ({
  ...right,
  denseGrads: right.denseGrads.map(() => value),
});

const LIES: [string, (right: StepGradients) => StepGradients][] = [
  ["UPDATE_NOT_FINITE", filled(Number.NaN)],
  ["UPDATE_NOT_FINITE", filled(Infinity)],
  ["UPDATE_NORM", filled(1e30)],
  ["UPDATE_SHAPE", (right) => ({ ...right, denseGrads: new Float32Array(10 * right.denseGrads.length) })],
];

/** A job that trains until it is asked to end. */
class Training {
  readonly job: number;
  readonly #cluster: Cluster;
  readonly #run: Promise<Run>;
  readonly #stopped: { stop: boolean };

  private constructor(o: { job: number; cluster: Cluster; run: Promise<Run>; stopped: { stop: boolean } }) {
    this.job = o.job;
    this.#cluster = o.cluster;
    this.#run = o.run;
    this.#stopped = o.stopped;
  }

  static async begin(cluster: Cluster, folder: string): Promise<Training> {
    const stopped = { stop: false };
    let hasBegun: (status: JobStatus) => void = () => {};
    const begun = new Promise<JobStatus>((resolve) => {
      hasBegun = resolve;
    });
    const run = cluster.train(clicksJob(folder, { epochs: EPOCHS }), {
      onStatus: (status) => status.phase === "training" && status.step > 0 && hasBegun(status),
      callbacks: { onBatchEnd: () => ({ stopTraining: stopped.stop }) },
    });
    const failed = run.then(() => Promise.reject(new Error("training ended before it was asked to")));
    const { job } = await Promise.race([begun, failed]);
    failed.catch(() => {}); // from now on it is asked to
    return new Training({ job, cluster, run, stopped });
  }

  /** Sees that steps are committed. */
  async goesOn(steps = 20): Promise<void> {
    const from = await this.#step();
    await expect.poll(() => this.#step()).toBeGreaterThan(from + steps);
  }

  end(): Promise<Run> {
    this.#stopped.stop = true;
    return this.#run;
  }

  async #step(): Promise<number> {
    const { jobs } = await this.#cluster.status();
    return jobs.find(({ job }) => job === this.job)!.step;
  }
}

/** Of the first steps of a job. */
function samplesOf(steps: number): number {
  const epochs = Math.floor(steps / STEPS_PER_EPOCH);
  return epochs * CLICKS + (steps % STEPS_PER_EPOCH) * BATCH;
}

/** Anyone's update may be late on a busy machine. */
const isNotLate = (code: string): boolean => code !== "UPDATE_LATE";

async function gatewayOf(cluster: Cluster): Promise<GatewayStatus> {
  return (await cluster.status()).gateways![0]!;
}

/** The gateway, as tabs reach it whose network may fail. */
function throughNetwork(network: TcpProxy): string {
  return network.address.replace(/^ws/, "http");
}
