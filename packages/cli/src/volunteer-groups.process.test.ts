/**
 * Volunteers who trust each other, on a real cluster, in real tabs: what their group sums over WebRTC they do not send,
 * and where WebRTC is blocked, the same rounds go by their WebSockets.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { env, kill } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Link } from "@volary/core/wire";
import { startWorker, type RunningWorker } from "@volary/node-worker";
import { chromium, type Browser } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import type { Run } from "./cluster/run.ts";
import { clicksJob, writeClicks } from "./testing/clicks.ts";
import { NEEDS_BROWSER, VolunteerTab } from "./testing/volunteer-tabs.ts";

const TIMEOUT_MS = 180_000;
const POLL_MS = 120_000;
/** More than there is time for: training ends once all was seen. */
const EPOCHS = 500;

describe.skipIf(NEEDS_BROWSER)("volunteers who trust each other [needs browser]", () => {
  /** Frames that came from volunteers by their links, by opcode. */
  const came = new Map<string, number>();
  let folder = "";
  let browser: Browser;
  let local: Cluster;
  /** The same as anyone sees it who does not know that one of its workers was killed. */
  let cluster: Cluster;
  let worker: RunningWorker;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "volary-groups-"));
    await writeClicks(folder);
    const executablePath = env["CHROMIUM"];
    browser = await chromium.launch({
      // Without it Chromium names the addresses of its machine in a way that only mDNS resolves.
      args: ["--no-sandbox", "--disable-features=WebRtcHideLocalIpsWithMdns"],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
    local = await Cluster.local({ ps: 1, workers: 1, onWarning: () => {} });
    cluster = await Cluster.connect(local.address);
    worker = await startWorker({
      coordinator: cluster.address,
      device: "cpu",
      groups: {},
      throughLink: (link) => counting(link, came),
    });
    // The one that a local cluster has takes part in no groups.
    kill(local.processes.find(({ role }) => role === "worker")!.pid!, "SIGKILL");
    while ((await cluster.status()).workers.length > 1) await delay(20);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await browser?.close();
    await worker?.stop();
    await cluster?.stop();
    await local?.stop();
    await rm(folder, { recursive: true });
  });
  let training: { stop: boolean; run: Promise<Run> } | undefined;
  afterEach(async () => {
    if (training) training.stop = true;
    await training?.run;
    for (const context of browser.contexts()) await context.close();
  });

  const openTabs = async (o: { blocked?: string } = {}): Promise<VolunteerTab[]> => {
    training = await train(cluster, folder);
    const { links } = await cluster.invite({ by: "Ada", about: "Who clicks?", trusted: true, uses: 2 });
    return Promise.all(
      links.map(async (link) => {
        const tab = await VolunteerTab.open(browser, link, { device: "cpu" });
        if (o.blocked !== undefined) {
          await tab.page.addInitScript(o.blocked);
          await tab.page.reload();
        }
        await tab.page.getByLabel("Connect to other volunteers directly").check();
        await tab.start();
        await tab.accepted(3);
        return tab;
      }),
    );
  };

  test(
    "send neither dense gradients nor pieces of rounds by their links, once their data channels are open",
    async () => {
      const tabs = await openTabs();
      await expect.poll(() => framesInAWhile(came), { timeout: POLL_MS }).toEqual(["leafRowGradients"]);
      for (const tab of tabs) await tab.accepted((await tab.steps()) + 5);
    },
    TIMEOUT_MS,
  );

  test(
    "send pieces of rounds by their links where the browser has no WebRTC",
    async () => {
      const tabs = await openTabs({ blocked: "delete globalThis.RTCPeerConnection" });
      await expect.poll(() => framesInAWhile(came), { timeout: POLL_MS }).toEqual(["leafRowGradients", "reduce"]);
      for (const tab of tabs) await tab.accepted((await tab.steps()) + 5);
    },
    TIMEOUT_MS,
  );
});

/** Counts what comes over a link. */
function counting(link: Link, came: Map<string, number>): Link {
  return {
    name: link.name,
    sendControl: (control) => link.sendControl(control),
    sendFrame: (frame, onSent) => link.sendFrame(frame, onSent),
    close: (reason) => link.close(reason),
    listen: (events) =>
      link.listen({
        onControl: (control) => events.onControl(control),
        onFrame: (frame) => {
          came.set(frame.opcode, (came.get(frame.opcode) ?? 0) + 1);
          events.onFrame(frame);
        },
        onClose: (reason, fault) => events.onClose(reason, fault),
      }),
  };
}

/** Kinds of frames that volunteers send while they compute ten tasks. */
async function framesInAWhile(came: ReadonlyMap<string, number>): Promise<string[]> {
  const before = new Map(came);
  const since = (opcode: string) => (came.get(opcode) ?? 0) - (before.get(opcode) ?? 0);
  while (since("leafRowGradients") < 10) await delay(20);
  const ofVolunteers = ["leafRowGradients", "leafDenseGradients", "reduce"];
  return ofVolunteers.filter((opcode) => since(opcode) > 0);
}

/** Trains until it is asked to end; resolves once there was a step. */
async function train(cluster: Cluster, folder: string): Promise<{ stop: boolean; run: Promise<Run> }> {
  const asked = { stop: false };
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const run = cluster.train(clicksJob(folder, { epochs: EPOCHS }), {
    onStatus: ({ phase, step }) => phase === "training" && step > 0 && begin(),
    callbacks: { onBatchEnd: () => ({ stopTraining: asked.stop }) },
  });
  await Promise.race([begun, run]);
  return Object.assign(asked, { run });
}
