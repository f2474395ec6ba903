/**
 * @file Finds the Chromium that the browser tests run in: $CHROMIUM, one on the PATH, then Playwright's own.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./bootstrap.mjs";
import { runCaptured } from "./processes.mjs";
import { onPath } from "./absences.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** @returns {Promise<string | undefined>} the path of an installed Chromium */
export async function findChromium() {
  const given = process.env["CHROMIUM"];
  if (given) return given;
  for (const name of NAMES) {
    const found = onPath(name);
    if (found !== undefined) return found;
  }
  const { chromium } = await import("playwright");
  const own = chromium.executablePath();
  return own !== "" && existsSync(own) ? own : undefined;
}

/**
 * Finds a Chromium, or installs one: the system's where we may change the system, else Playwright's.
 *
 * @param {{ node: string, env: NodeJS.ProcessEnv }} ready
 * @returns {Promise<string | undefined>} undefined where there is none to be had
 */
export async function provideChromium({ node, env }) {
  const found = await findChromium();
  if (found !== undefined) return found;
  console.log("… no Chromium found, installing one for the browser tests");
  if (process.env["CI"] === "true" && process.getuid?.() === 0 && onPath("apt-get") !== undefined) {
    await runCaptured("apt-get", ["update"], { env: { ...env, DEBIAN_FRONTEND: "noninteractive" } });
    await runCaptured("apt-get", ["install", "-y", "chromium"], { env: { ...env, DEBIAN_FRONTEND: "noninteractive" } });
    const installed = await findChromium();
    if (installed !== undefined) return installed;
  }
  await runCaptured(node, [join(root, "node_modules/playwright/cli.js"), "install", "chromium"], { env });
  return findChromium();
}
