/** @file What `screenshots.mjs` does once the clone is ready. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright";
import { since } from "@volary/core";
import { Cluster } from "volary";
import flights from "../examples/flights/job.ts";
import { root } from "./bootstrap.mjs";
import { findChromium } from "./chromium.mjs";

const FOLDER = join(root, "docs/images");
/** A software rasterizer's first step takes long. */
const TIMEOUT_MS = 180_000;
/** Updates that count before a volunteer's picture is taken; evaluations and charts before the dashboard's is. */
const UPDATES = 40;
const EVALUATIONS = 4;
const CHARTS = 4;

const DESKTOP = { viewport: { width: 1100, height: 1240 } };
const DASHBOARD = { viewport: { width: 1280, height: 1800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** The demo, with few held-out rows, so that they are evaluated often. */
const job = {
  ...flights,
  data: { ...flights.data, test: since("date", "2001-06-30T00:00") },
  fit: { ...flights.fit, epochs: 3, batchSize: 1024, validate: { everySteps: 40 } },
};

/**
 * A context of its own for each: with its own storage, as on another machine.
 *
 * @param {import("playwright").Browser} browser
 * @param {string} url
 * @param {import("playwright").BrowserContextOptions} look
 */
async function open(browser, url, look) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(url);
  return page;
}

/**
 * @param {import("playwright").Browser} browser
 * @param {string} link
 * @param {import("playwright").BrowserContextOptions} look
 */
async function volunteer(browser, link, look) {
  const page = await open(browser, link, look);
  await page.getByRole("button", { name: "Start" }).click();
  return page;
}

/** @param {import("playwright").Page} page @param {string} name */
async function picture(page, name) {
  await page.evaluate("scrollTo(0, 0)");
  await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  console.log(`${name}.png`);
}

/**
 * Waits for the cluster.
 *
 * @param {Cluster} cluster
 * @param {(status: import("@volary/core/wire").ClusterStatus) => boolean} isReady
 */
async function until(cluster, isReady) {
  const endMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    const status = await cluster.status();
    const failed = status.jobs.find(({ phase }) => phase === "failed");
    if (failed) throw new Error(`the job failed: ${failed.message}`);
    if (isReady(status)) return;
    if (performance.now() > endMs) throw new Error(`the cluster was not ready within ${TIMEOUT_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

await mkdir(FOLDER, { recursive: true });
const executablePath = await findChromium();
if (executablePath === undefined) throw new Error("there is no Chromium; install one, or name it in CHROMIUM");
const cluster = await Cluster.local({ ps: 2, workers: 2, replicas: 2, baseDir: join(root, "examples/flights") });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const ended = cluster.train(job, {}).catch((/** @type {unknown} */ error) => error);
  await until(cluster, ({ jobs }) => jobs.some(({ phase }) => phase === "training"));
  const { links } = await cluster.invite({ uses: 2, by: "Ada Lovelace", about: "Will a flight arrive late?" });
  const [first = "", second = ""] = links;
  const desktop = await volunteer(browser, first, DESKTOP);
  const phone = await volunteer(browser, second, PHONE);
  await until(cluster, ({ workers }) => {
    const leaves = workers.flatMap((worker) => worker.leaves ?? []);
    return leaves.length === 2 && leaves.every(({ accepted }) => accepted >= UPDATES);
  });
  await picture(desktop, "volunteer-desktop");
  await picture(phone, "volunteer-phone");
  await desktop.emulateMedia({ colorScheme: "dark" });
  await picture(desktop, "volunteer-dark");
  const dashboard = await open(browser, cluster.dashboard, DASHBOARD);
  await dashboard
    .locator("canvas")
    .nth(CHARTS - 1)
    .waitFor();
  const seen = new Set();
  await until(cluster, ({ jobs }) => seen.add(jobs[0]?.validation?.step).size > EVALUATIONS);
  await picture(dashboard, "dashboard");
  await cluster.stop();
  await ended;
} finally {
  await browser.close();
  await cluster.stop();
}
