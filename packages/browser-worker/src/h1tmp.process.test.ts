import { chromium } from "playwright";
import { test } from "vitest";
import { takeNodeStep } from "./testing/node-step.ts";
import { ScriptedGateway } from "./testing/scripted-gateway.ts";
import { buildPages } from "./testing/build-pages.ts";
import { TEXT } from "./page/text.ts";
test("times", async () => {
  
  const gateway = await ScriptedGateway.open({ folder: "/tmp/h1-pages", ...(await takeNodeStep()) });
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"] });
  let n = 0;
  for (const device of [undefined, "webgl", "webgpu"]) {
    const page = await (await browser.newContext()).newPage();
    page.on("console", (m) => console.log("  console", m.text()));
    page.on("pageerror", (e) => console.log("  pageerror", e.message));
    page.on("requestfailed", (r) => console.log("  failed", r.url(), r.failure()?.errorText));
    const t = Date.now();
    const lap = (what: string) => console.log(device, what, Date.now() - t);
    await page.goto(gateway.link("token-" + n++, device ? { device } : {}));
    await page.getByRole("button", { name: TEXT.start }).click();
    lap("clicked");
    await page.getByText(/Connecting|Connected|Computing/).waitFor({timeout: 100000});
    lap("device");
    await page.locator(".figure", { hasText: TEXT.mySteps }).locator("dd", { hasText: /[1-9]/ }).waitFor();
    lap("first accepted");
    console.log(await page.locator(".figure", { hasText: TEXT.device }).locator("dd").allTextContents());
    await page.context().close();
  }
  await browser.close();
  await gateway.close();
}, 300_000);
