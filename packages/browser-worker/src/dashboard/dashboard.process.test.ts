/** The dashboard as operators see it: built, served under its policy, told by a scripted coordinator, in Chromium. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import type { ClusterStatus, Control } from "@volary/core/wire";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { buildPages } from "../testing/build-pages.ts";
import { serveScriptedCoordinator, type ScriptedCoordinator } from "../testing/scripted-coordinator.ts";
import { scriptedNews, scriptedStatus } from "../testing/scripted-status.ts";

const absent = (env["VOLARY_ABSENT"] ?? "").split(",");
/** A page on a busy machine. */
const SLOW_MS = 90_000;

const EMPTY: ClusterStatus = {
  nodes: [],
  workers: [],
  jobs: [],
  mapVersion: 0,
  chains: { whole: 0, short: 0, moving: 0 },
  failovers: 0,
  moves: 0,
  overrides: 0,
};

describe.skipIf(absent.includes("browser"))("the dashboard in Chromium [needs browser]", () => {
  let pages: string;
  let browser: Browser;
  let status: ClusterStatus;
  let coordinator: ScriptedCoordinator;
  let faults: string[];

  beforeAll(async () => {
    pages = await mkdtemp(join(tmpdir(), "volary-pages-"));
    await buildPages(pages);
    const executablePath = env["CHROMIUM"];
    browser = await chromium.launch({
      args: ["--no-sandbox"],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(pages, { recursive: true, force: true });
  });
  beforeEach(async () => {
    faults = [];
    status = scriptedStatus({ step: 120 });
    coordinator = await serveScriptedCoordinator({ pages, answers });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await coordinator.stop();
    expect(faults).toEqual([]);
  });

  function answers(control: Control): Control[] {
    if (control.type === "status-request") return [{ type: "status", status }];
    if (control.type === "watch")
      return [{ type: "job-status", status: scriptedNews({ job: control.job, step: 120 }) }];
    return [];
  }

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(SLOW_MS);
    const page = await context.newPage();
    page.on("pageerror", (error) => faults.push(error.message));
    await page.addInitScript(() =>
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        console.error(`policy: ${violatedDirective} ${blockedURI}`),
      ),
    );
    page.on("console", (message) => {
      if (message.text().startsWith("policy:")) faults.push(message.text());
    });
    await page.goto(coordinator.url);
    return page;
  }

  test("shows jobs, workers, volunteers, servers, gateways and events, and keeps up with them", async () => {
    const page = await open();
    await page.getByText("Step 120 of 400").first().waitFor();
    const tableOf = (name: string) => page.getByRole("table", { name });
    expect(await tableOf("Workers").getByRole("row").allInnerTexts()).toHaveLength(3);
    expect(
      await tableOf("Volunteers")
        .getByRole("row", { name: /^Grace/ })
        .innerText(),
    ).toContain("NOT_FINITE 3, NORM 2");
    expect(await tableOf("Parameter servers").getByRole("row", { name: /^ps-2/ }).innerText()).toContain("silent");
    expect(await tableOf("Gateways").getByRole("row", { name: /8443/ }).innerText()).toContain("TOKEN_USED 4");
    const events = await page.getByRole("list", { name: "Events" }).getByRole("listitem").allInnerTexts();
    expect(events[0]).toContain("Ada has joined job 2");
    // Loss, AUC; the speed's chart has its first point with the second status.
    await page.locator("canvas").nth(2).waitFor();
    status = scriptedStatus({ step: 130 });
    await page.getByText("Step 130 of 400").first().waitFor();
  });

  test("another job is chosen by keyboard", async () => {
    const page = await open();
    const done = page.getByRole("button", { name: "ratings (job 1)" });
    await done.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "ratings (job 1)" }).waitFor();
    expect(await done.getAttribute("aria-pressed")).toBe("true");
  });

  test("says that it is not connected while the coordinator is away, and comes back by itself", async () => {
    const page = await open();
    await page.getByText("live", { exact: true }).waitFor();
    coordinator.leave();
    await page.getByText("Not connected: what you see is old").waitFor();
    expect(await page.getByText("Step 120 of 400").count()).toBeGreaterThan(0);
    coordinator.comeBack();
    await page.getByText("live", { exact: true }).waitFor();
    expect(await page.getByText("Not connected").count()).toBe(0);
  });

  test("an empty cluster, of a coordinator that knows no volunteers, says what to start", async () => {
    status = EMPTY;
    const page = await open();
    const commands = page.locator("code");
    await commands.first().waitFor();
    expect(await commands.allInnerTexts()).toEqual([
      "volary train job.ts --coordinator ADDRESS",
      "volary worker --coordinator ADDRESS",
      "volary invite JOB",
      "volary ps --coordinator ADDRESS",
      "volary coordinator --gateway-port PORT",
    ]);
  });

  const looks: Record<string, BrowserContextOptions> = {
    desktop: { viewport: { width: 1280, height: 900 } },
    phone: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    "dark desktop": { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
    "dark phone": { viewport: { width: 360, height: 740 }, colorScheme: "dark" },
  };
  test.each(Object.entries(looks))("axe-core finds no fault on a %s, and nothing is cut off", async (_, look) => {
    const page = await open(look);
    await page.locator("canvas").nth(2).waitFor();
    expect(await violations(page)).toEqual([]);
    const cutOff = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return scrollWidth - clientWidth;
    });
    expect(cutOff).toBeLessThanOrEqual(0);
  });
});

/** What axe-core has against a page, each as "rule: the first element". */
async function violations(page: Page): Promise<string[]> {
  const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(source);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations: found } = await axe.run();
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`);
  });
}
