/** Volunteers for tests: real tabs of Chromium that open a link, press Start, and tell what their page shows. */
import { env } from "node:process";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright";

/** What a page is given for anything that is asked of it: tabs, gateway and training share two cores. */
const SLOW_MS = 120_000;

export const NEEDS_BROWSER = (env["VOLARY_ABSENT"] ?? "").split(",").includes("browser");

/** A browser whose WebGPU is the software adapter; WebGL is in software too where there is no GPU. */
export function openChromium(): Promise<Browser> {
  const executablePath = env["CHROMIUM"];
  return chromium.launch({
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    ...(executablePath === undefined ? {} : { executablePath }),
  });
}

/** A browser profile of its own, whose pages may take their time. */
export async function openContext(browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext();
  context.setDefaultTimeout(SLOW_MS);
  return context;
}

export class VolunteerTab {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page's console said. */
  readonly console: string[] = [];

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on("console", (message) => this.console.push(message.text()));
    page.on("pageerror", (error) => this.console.push(String(error)));
  }

  /** Opens a join link in a browser profile of its own. */
  static async open(browser: Browser, link: string, { device }: { device?: string } = {}): Promise<VolunteerTab> {
    const url = new URL(link);
    if (device !== undefined) url.searchParams.set("device", device);
    const context = await openContext(browser);
    const tab = new VolunteerTab(context, await context.newPage());
    await tab.page.goto(url.href);
    return tab;
  }

  async start(): Promise<void> {
    await this.page.getByRole("button", { name: /^Start/ }).click();
  }

  async stop(): Promise<void> {
    await this.page.getByRole("button", { name: "Stop" }).click();
  }

  /** The first line of a figure, by its name; undefined where the page does not show it. */
  async figure(name: string): Promise<string | undefined> {
    const value = this.page.locator(".figure", { has: this.page.getByText(name, { exact: true }) }).locator("dd");
    if ((await value.count()) === 0) return undefined;
    return (await value.first().innerText()).split("\n")[0];
  }

  /** Accepted updates that the page counts. */
  async steps(): Promise<number> {
    return Number(((await this.figure("My steps")) ?? "0").replaceAll(/\D/g, ""));
  }

  /** Waits until so many updates were accepted. */
  async accepted(steps: number): Promise<void> {
    const until = Date.now() + SLOW_MS;
    while ((await this.steps()) < steps) {
      if (Date.now() > until) {
        const shown = await this.page.locator("main").innerText();
        throw new Error(
          `the tab has ${await this.steps()} accepted updates, not ${steps}; its page:\n${shown}\n${this.console.join("\n")}`,
        );
      }
      await this.page.waitForTimeout(100);
    }
  }

  /** What the page says of its state. */
  async status(): Promise<string> {
    return this.page.getByRole("status").first().innerText();
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
