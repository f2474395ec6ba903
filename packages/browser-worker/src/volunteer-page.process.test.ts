/** The volunteer's page as it is served: built from the sources, opened by Chromium, under the policy of a gateway. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { TEXT } from "./page/text.ts";
import { buildPages } from "./testing/build-pages.ts";
import { takeNodeStep } from "./testing/node-step.ts";
import { ScriptedGateway } from "./testing/scripted-gateway.ts";

const absent = (env["VOLARY_ABSENT"] ?? "").split(",");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
/** Software that draws for a GPU, on a busy machine. */
const SLOW_MS = 120_000;
/** Of all that a first visit fetches, gzipped. */
const VISIT_BYTES_MAX = 450_000;

describe.skipIf(absent.includes("browser"))("the volunteer's page [needs browser]", { timeout: 2 * SLOW_MS }, () => {
  let folder: string;
  let gateway: ScriptedGateway;
  let browser: Browser;
  let tokens = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "volary-pages-"));
    await buildPages(folder);
    gateway = await ScriptedGateway.open({ folder, ...(await takeNodeStep()) });
    const executablePath = env["CHROMIUM"];
    browser = await chromium.launch({
      args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
  }, SLOW_MS);
  afterAll(async () => {
    await browser?.close();
    await gateway?.close();
    await rm(folder, { recursive: true });
  });
  afterEach(async () => {
    gateway.tamper = (admitted) => admitted;
    for (const context of browser.contexts()) await context.close();
  });

  const newLink = (device?: string) => gateway.link(`token-${++tokens}`, device === undefined ? {} : { device });

  test("a link is opened, Start pressed, and updates count; the link's secret is gone from the address bar", async () => {
    const { page, faults } = await open(newLink("cpu"));
    await page.getByRole("heading", { name: TEXT.asks("The Flight Institute") }).waitFor();
    expect(new URL(page.url()).hash).toBe("");
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 3);
    await page.getByText(TEXT.status.working).waitFor();
    await expect.poll(() => figure(page, TEXT.myShare)).toMatch(/\d+ %/);
    expect(await figure(page, TEXT.device)).toContain(TEXT.deviceNames.cpu);
    expect(await figure(page, TEXT.sent)).toMatch(/^\d.* k?M?B$/);
    expect(await page.locator(".chart canvas").count()).toBe(1);
    expect(faults).toEqual([]);
  });

  test("Stop ends the Web Worker and the link, and nothing is sent after; Start goes on counting, and so does a link that broke", async () => {
    const { page } = await open(newLink("cpu"));
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 1);
    gateway.heard.length = 0;
    await page.getByRole("button", { name: TEXT.stop }).click();
    await page.getByText(TEXT.stopped).waitFor();
    await expect.poll(() => page.workers().length).toBe(0);
    await expect.poll(() => gateway.heard.at(-1)).toBe("close");
    const given = await stepsOf(page);
    await page.getByRole("button", { name: TEXT.startAgain }).click();
    await counted(page, given + 1);
    gateway.cut();
    await counted(page, (await stepsOf(page)) + 2);
  });

  test("a reload goes on with the session, and so does the used link in this browser", async () => {
    const link = newLink("cpu");
    const { page } = await open(link);
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 1);
    await page.reload();
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 1);
    await page.goto("about:blank");
    await page.goto(link);
    await page.getByRole("heading", { name: TEXT.asks("The Flight Institute") }).waitFor();
  });

  test("a page that is reloaded before it hears of its session gets in all the same", async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(SLOW_MS);
    const page = await context.newPage();
    await page.route(
      "**/api/join",
      async (route) => {
        await route.fetch();
        await route.abort(); // the token is used, and the answer is lost
      },
      { times: 1 },
    );
    await page.goto(newLink("cpu"));
    await page.getByText(TEXT.refusal("COORDINATOR_UNAVAILABLE")).waitFor();
    await page.reload();
    await page.getByRole("button", { name: TEXT.start }).waitFor();
  });

  test("a first visit with WebGL fetches little; a lost context costs its step, and another Web Worker goes on", async () => {
    const page = await firstVisit("webgl");
    await counted(page, 1);
    const before = page.workers()[0]!;
    await before.evaluate(() => {
      interface Engine {
        backendInstance: { getGPGPUContext(): { gl: WebGL2RenderingContext } };
      }
      const { _tfengine } = globalThis as unknown as { _tfengine: Engine };
      _tfengine.backendInstance.getGPGPUContext().gl.getExtension("WEBGL_lose_context")!.loseContext();
    });
    await expect.poll(() => page.workers().some((worker) => worker !== before)).toBe(true);
    await counted(page, (await stepsOf(page)) + 1);
  });

  test("a first visit with WebGPU fetches little", async () => {
    await firstVisit("webgpu");
  });

  test.each(["TOKEN_UNKNOWN", "TOKEN_USED", "TOKEN_EXPIRED", "TOKEN_ROLE", "WRONG_ORIGIN", "TOO_MANY"] as const)(
    "%s is told in words that say what to do",
    async (code) => {
      const { page } = await open(gateway.link(`refuse-${code}`));
      await page.getByRole("alert").waitFor();
      expect(await page.getByRole("alert").textContent()).toContain(TEXT.refusal(code));
      expect(await page.getByRole("button", { name: TEXT.start, exact: true }).count()).toBe(0);
    },
  );

  test("an invitation of which a byte was changed starts nothing", async () => {
    gateway.tamper = ({ invitation, ...rest }) => ({
      ...rest,
      invitation: { ...invitation, text: invitation.text.replace("Institute", "institute") },
    });
    const { page } = await open(newLink());
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain(TEXT.refusal("BAD_INVITATION"));
  });

  test("an observer's link shows who trains what and how far it is, live, and computes and sends nothing", async () => {
    gateway.heard.length = 0;
    const { page, faults } = await open(gateway.link(`watch-${++tokens}`));
    await page.getByRole("heading", { name: TEXT.shows("The Flight Institute") }).waitFor();
    await page.getByRole("heading", { name: TEXT.watch }).waitFor();
    await page.getByText(TEXT.watching).waitFor();
    expect(await figure(page, TEXT.heldOut("auc"))).toMatch(/^0\.7100/);
    expect(await figure(page, TEXT.speed)).toMatch(/^\d/);
    const loss = await figure(page, TEXT.lossNow);
    await expect.poll(() => figure(page, TEXT.lossNow), { timeout: SLOW_MS }).not.toBe(loss);
    expect(await page.locator(".chart canvas").count()).toBe(1);
    expect(await page.getByRole("button").count()).toBe(0);
    expect(await page.getByRole("slider").count()).toBe(0);
    expect(page.workers()).toEqual([]);
    expect(await seriousFaults(page)).toEqual([]);

    const hellos = () => gateway.heard.filter((each) => each === "message").length;
    expect(hellos()).toBe(1);
    gateway.cut();
    await expect.poll(hellos, { timeout: SLOW_MS }).toBe(2);
    const then = await figure(page, TEXT.lossNow);
    await expect.poll(() => figure(page, TEXT.lossNow), { timeout: SLOW_MS }).not.toBe(then);
    expect(hellos()).toBe(2);
    expect(faults).toEqual([]);
    await page.reload();
    await page.getByText(TEXT.watching).waitFor();
  });

  test("a page without an invitation says what it needs", async () => {
    const { page } = await open(`${gateway.address}/join`);
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain(TEXT.refusal("TOKEN_UNKNOWN"));
  });

  test("limits are in force at once, and kept", async () => {
    const { page } = await open(newLink("cpu"));
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 1);
    await page.getByLabel(TEXT.megabytes).fill("0.001");
    await page.getByText(TEXT.paused.limits).waitFor();
    await page.reload();
    expect(await page.getByLabel(TEXT.megabytes).inputValue()).toBe("0.001");
  });

  test.each<[string, BrowserContextOptions]>([
    ["on a desk", { viewport: { width: 1280, height: 900 } }],
    ["on a phone", { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
  ])("axe finds no serious fault %s, in the light and in the dark", async (_, options) => {
    const { page } = await open(newLink("cpu"), options);
    await page.getByRole("button", { name: TEXT.start }).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await page.getByRole("button", { name: TEXT.start }).click();
    await counted(page, 1);
    expect(await seriousFaults(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await page.goto(gateway.link("refuse-TOKEN_EXPIRED"));
    await page.getByRole("alert").waitFor();
    expect(await seriousFaults(page)).toEqual([]);
  });

  /** Starts on a device, and counts what was fetched until it has taken steps. */
  async function firstVisit(device: "webgl" | "webgpu"): Promise<Page> {
    gateway.served.clear();
    const { page, faults } = await open(newLink(device));
    await page.getByRole("button", { name: TEXT.start }).click();
    await page.locator(".figure", { hasText: TEXT.deviceNames[device] }).waitFor();
    const bytes = [...gateway.served.values()].reduce((sum, length) => sum + length, 0);
    expect(bytes).toBeLessThan(VISIT_BYTES_MAX);
    expect(faults).toEqual([]);
    return page;
  }

  /** Opens a page in a browser of its own, so to speak. `faults` are what its console calls errors. */
  async function open(url: string, options: BrowserContextOptions = {}): Promise<{ page: Page; faults: string[] }> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(SLOW_MS);
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(url);
    return { page, faults };
  }
});

async function counted(page: Page, steps: number): Promise<void> {
  await expect.poll(() => stepsOf(page), { timeout: SLOW_MS }).toBeGreaterThanOrEqual(steps);
}

async function stepsOf(page: Page): Promise<number> {
  return Number((await figure(page, TEXT.mySteps)) ?? 0);
}

async function figure(page: Page, label: string): Promise<string | undefined> {
  const [value] = await page.locator(".figure", { hasText: label }).locator("dd").allTextContents();
  return value;
}

/** Faults that keep people out, as axe-core sees them, whatever the colours. */
async function seriousFaults(page: Page): Promise<string[]> {
  // The page's policy would not let a script element run.
  await page.evaluate(await readFile(AXE, "utf8"));
  const faults: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" }); // no colour on its way to another
    const found = await page.evaluate(async () => {
      interface Axe {
        run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
      }
      const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
    faults.push(...found.map((fault) => `${colorScheme}: ${fault}`));
  }
  return faults;
}
