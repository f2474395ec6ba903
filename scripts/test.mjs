/**
 * @file `npm test`: installs what is missing, then format, lint, types, structure and every test.
 *
 * `npm test -- PATTERN…` runs only the test files whose path contains a PATTERN. The last line is always
 * `N passed, N failed, N skipped`; a stage that is not vitest counts as one test.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { absences, dataFolder } from "./absences.mjs";
import { BootstrapError, bootstrap, root, typescriptBin } from "./bootstrap.mjs";
import { provideChromium } from "./chromium.mjs";
import { runCaptured, runInherited } from "./processes.mjs";
import { countReport, noTests, sum } from "./test-report.mjs";

const vitestBin = join(root, "node_modules/vitest/vitest.mjs");

process.chdir(root);
const filters = process.argv.slice(2);
const count = await runStages().catch((error) => {
  if (!(error instanceof BootstrapError)) throw error;
  return { ...noTests(), failed: 1, errors: [error.message] };
});
for (const error of count.errors) console.error(`✗ ${error}`);
process.exitCode = count.failed === 0 ? 0 : 1;
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);

async function runStages() {
  const ready = await bootstrap({ build: "none" });
  let total = { ...noTests(), passed: 1 };
  /** @type {[string, string[]][]} */
  const checks = [
    ["format", [join(root, "node_modules/oxfmt/bin/oxfmt"), "--check", "."]],
    ["lint", [join(root, "node_modules/oxlint/bin/oxlint"), "--type-aware", "--deny-warnings"]],
    ["types", [typescriptBin(), "-b"]],
    ["structure", ["scripts/check-structure.mjs"]],
    ["api", ["scripts/api-page.mjs", "--check"]],
  ];
  for (const [name, args] of filters.length === 0 ? checks : checks.filter(([name]) => name === "types")) {
    total = sum(total, await check(name, ready, args));
  }
  const chromium = await provideChromium(ready);
  const data = dataFolder(root);
  const absent = absences({ chromium, data });
  if (absent.length > 0) console.log(`This machine lacks: ${absent.join(", ")}.`);
  const env = {
    ...ready.env,
    ...(chromium === undefined ? {} : { CHROMIUM: chromium }),
    ...(data === undefined ? {} : { VOLARY_DATA: data }),
  };
  for (const project of ["unit", "browser", "process"]) {
    if (project === "browser" && chromium === undefined) {
      console.log("- browser: skipped [needs browser]");
      total = sum(total, { ...noTests(), skipped: 1 });
      continue;
    }
    total = sum(total, await vitest(project, { ...ready, env }, { absent, data }));
  }
  return total;
}

/**
 * @param {string} name
 * @param {{ node: string, env: NodeJS.ProcessEnv }} ready
 * @param {readonly string[]} args
 */
async function check(name, { node, env }, args) {
  const startedMs = performance.now();
  const { code, output } = await runCaptured(node, args, { cwd: root, env });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${code === 0 ? "✓" : "✗"} ${name} (${seconds} s)`);
  if (code === 0) return { ...noTests(), passed: 1 };
  console.log(output.trimEnd());
  return { ...noTests(), failed: 1, errors: [`${name} failed`] };
}

/**
 * @param {string} project
 * @param {{ node: string, env: NodeJS.ProcessEnv }} ready
 * @param {{ absent: readonly string[], data: string | undefined }} machine
 */
async function vitest(project, { node, env }, machine) {
  const folder = mkdtempSync(join(tmpdir(), "volary-test-"));
  try {
    const report = join(folder, "report.json");
    const reporters = ["--reporter", "default", "--reporter", "json", "--outputFile.json", report];
    const options = ["--project", `${project}*`, "--passWithNoTests", "--allowOnly=false", ...reporters];
    const exitCode = await runInherited(node, [vitestBin, "run", ...options, ...filters], { env });
    return countReport(readReport(report), { ...machine, exitCode });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {string} file */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
