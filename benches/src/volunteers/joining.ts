/**
 * How long does it take from a link that is opened to the first gradient that counts? A real tab of Chromium, with no GPU and
 * an empty profile each time, opens the link while a worker trains the demo's job; it presses Start as soon as it can.
 */
import path from "node:path";
import { env } from "node:process";
import type { JobDefinition } from "@volary/core";
import { file } from "@volary/core/data";
import { chromium, type Browser } from "playwright";
import { Cluster, loadJobFile } from "volary";
import { writeFlights } from "../parity/flights.ts";
import { DEMO_FOLDER } from "../traffic/demo-job.ts";

const ROUNDS = 5;
/** It is stopped once all have joined. */
const EPOCHS = 10_000;
/** What a control waits before it presses Start. */
const HESITATES_MS = 10_000;

export interface Joining {
  joinMedianMs: number;
  joinMaxMs: number;
}

export async function measureJoining(o: {
  folder: string;
  flights: number;
  batchSize: number;
  mode: "measure" | "control";
}): Promise<Joining> {
  const rounds = o.mode === "control" ? 1 : ROUNDS;
  const job = await jobOf(o);
  const cluster = await Cluster.local({ ps: 1, workers: 1, baseDir: DEMO_FOLDER });
  const executablePath = env["CHROMIUM"];
  const browser = await chromium.launch({
    args: ["--no-sandbox"],
    ...(executablePath === undefined ? {} : { executablePath }),
  });
  const stop = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      const onStatus = ({ step }: { step: number }): void => void (step > 0 && resolve());
      cluster.train(job, { onStatus, signal: stop.signal }).catch(reject);
    });
    const { links } = await cluster.invite({ uses: rounds });
    const times: number[] = [];
    for (const link of links) {
      times.push(await join(browser, link, { hesitatesMs: o.mode === "control" ? HESITATES_MS : 0 }));
      console.error(`the first accepted gradient came ${times.at(-1)!.toFixed(0)} ms after the link was opened`);
    }
    const sorted = times.toSorted((a, b) => a - b);
    return { joinMedianMs: sorted[sorted.length >> 1]!, joinMaxMs: sorted.at(-1)! };
  } finally {
    stop.abort();
    await browser.close();
    await cluster.stop();
  }
}

async function join(browser: Browser, link: string, { hesitatesMs }: { hesitatesMs: number }): Promise<number> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const begun = performance.now();
  await page.goto(link);
  await page.waitForTimeout(hesitatesMs);
  await page.getByRole("button", { name: "Start" }).click();
  const steps = page.locator(".figure", { has: page.getByText("My steps", { exact: true }) }).locator("dd");
  while (!((await steps.count()) > 0 && Number(await steps.first().innerText()) > 0)) await page.waitForTimeout(20);
  const took = performance.now() - begun;
  await context.close();
  return took;
}

async function jobOf(o: { folder: string; flights: number; batchSize: number }): Promise<JobDefinition> {
  const demo = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const { test: _, ...data } = demo.data;
  const few = await writeFlights(o.folder, { steps: Math.floor(o.flights / o.batchSize), batchSize: o.batchSize });
  const fit = { ...demo.fit, batchSize: o.batchSize, epochs: EPOCHS };
  return { ...demo, data: { ...data, files: [file(few)] }, fit };
}
