/**
 * @file Three kinds of tests: units in Node, core and the browser worker in Chromium, and whole processes, most of them one by one.
 *
 * Workspace packages resolve to their source, so a test never sees a stale build.
 */
import { join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";
import type { BrowserCommand } from "vitest/node";
import { nodeStep } from "./packages/browser-worker/src/testing/node-command.ts";
import { socketRelay } from "./packages/browser-worker/src/testing/socket-relay.ts";
import { absences, dataFolder } from "./scripts/absences.mjs";
import { root } from "./scripts/bootstrap.mjs";
import { findChromium } from "./scripts/chromium.mjs";

const SOURCE = "volary-source";
const NEVER = ["**/node_modules/**", "**/dist/**"];
const IN_BROWSER = "**/*.browser.test.ts";
const IN_PROCESSES = "**/*.process.test.ts";
/** Whole processes in whose results no clock has a part, as bits, bytes and losses: two files at a time keep all cores busy. */
const IN_PAIRS = [
  "benches/src/{data,devices,parity,sparse-vs-tfjs,traffic,volunteers}.process.test.ts",
  "packages/cli/src/acceptance/{amazon-access,bank-marketing,conversion,metrics,mnist,sequences}.process.test.ts",
];

const chromium = await findChromium();
const data = dataFolder(root);

const shared = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  // What is asked until it is so may take its time on a busy machine.
  expect: { poll: { timeout: 30_000 } },
  env: {
    // Tests start hundreds of processes of the same files: Node keeps what it compiled them to.
    NODE_COMPILE_CACHE: join(root, "node_modules/.volary-compiled"),
    VOLARY_ABSENT: absences({ chromium, data }).join(","),
    ...(data === undefined ? {} : { VOLARY_DATA: data }),
    ...(chromium === undefined ? {} : { CHROMIUM: chromium }),
  },
};

/** Their tests are given seconds where each process has a core; several share one here. */
const processes = {
  ...shared,
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 90_000 } },
};

const inNode = {
  resolve: { conditions: [SOURCE, ...defaultServerConditions] },
  ssr: { resolve: { conditions: [SOURCE, ...defaultServerConditions], externalConditions: [SOURCE] } },
};

interface InChromium {
  name: string;
  folder: string;
  include: string[];
  dependencies: string[];
  /** What its tests may ask Node to do. */
  commands?: Record<string, BrowserCommand<[]>>;
}

/** A project per package: Vite pre-bundles what that package depends on before the first test asks for it. */
const inChromium = ({ name, folder, include, dependencies, commands = {} }: InChromium) => ({
  root: folder,
  resolve: { conditions: [SOURCE, ...defaultClientConditions] },
  optimizeDeps: { include: dependencies },
  test: {
    ...shared,
    name,
    include,
    exclude: [...NEVER, IN_PROCESSES],
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      commands,
      provider: playwright({
        launchOptions: {
          ...(chromium === undefined ? {} : { executablePath: chromium }),
          // A root user has no sandbox; the rest keeps Chromium from calling home.
          args: [
            "--no-sandbox",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
      instances: [{ browser: "chromium" as const, name }],
    },
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        ...inNode,
        test: {
          ...shared,
          name: "unit",
          include: ["{packages,examples,sim,benches}/**/*.test.ts", "scripts/**/*.test.mjs"],
          exclude: [...NEVER, IN_BROWSER, IN_PROCESSES],
        },
      },
      {
        ...inNode,
        test: {
          ...processes,
          name: "process",
          include: [`{packages,examples,sim,benches}/${IN_PROCESSES}`],
          exclude: [...NEVER, ...IN_PAIRS],
          fileParallelism: false,
        },
      },
      { ...inNode, test: { ...processes, name: "process-pairs", include: IN_PAIRS } },
      inChromium({
        name: "browser-core",
        folder: "packages/core",
        include: ["src/**/*.test.ts"],
        dependencies: [
          "@tensorflow/tfjs-backend-cpu",
          "@tensorflow/tfjs-core",
          "@tensorflow/tfjs-layers",
          "fast-check",
          "zod",
        ],
      }),
      inChromium({
        name: "browser-worker",
        folder: "packages/browser-worker",
        include: [`src/${IN_BROWSER}`],
        dependencies: [
          "@tensorflow/tfjs-backend-cpu",
          "@tensorflow/tfjs-backend-wasm",
          "@tensorflow/tfjs-backend-webgl",
          "@tensorflow/tfjs-backend-webgpu",
          "@tensorflow/tfjs-core",
          "@tensorflow/tfjs-layers",
          "@volary/core > zod",
        ],
        commands: { nodeStep, socketRelay },
      }),
    ],
  },
});
