/**
 * @file Counts a vitest JSON report, and lets a test skip only for what this machine really lacks.
 */
import { maySkip } from "./absences.mjs";

/**
 * @typedef {{ passed: number, failed: number, skipped: number, errors: string[] }} Count
 * @typedef {{ status: string, fullName: string }} Test
 * @typedef {{ testResults: { name: string, status: string, message?: string, assertionResults: Test[] }[] }} Report
 */

/** @returns {Count} */
export const noTests = () => ({ passed: 0, failed: 0, skipped: 0, errors: [] });

/**
 * @param {Count} a
 * @param {Count} b
 * @returns {Count}
 */
export function sum(a, b) {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    errors: [...a.errors, ...b.errors],
  };
}

/**
 * @param {Report | undefined} report undefined when vitest died before writing one
 * @param {{ exitCode: number, absent: readonly string[], data: string | undefined }} run
 * @returns {Count}
 */
export function countReport(report, { exitCode, absent, data }) {
  const count = noTests();
  for (const file of report?.testResults ?? []) {
    if (file.status === "failed" && file.assertionResults.every(({ status }) => status !== "failed")) {
      count.failed++;
      count.errors.push(`${file.name} failed outside its tests`);
    }
    for (const { status, fullName } of file.assertionResults) {
      if (status === "passed") count.passed++;
      else if (status === "failed") {
        count.failed++;
        count.errors.push(`"${fullName}" (${file.name}) failed`);
      } else if (maySkip(fullName, { absent, data })) count.skipped++;
      else {
        count.failed++;
        count.errors.push(
          `"${fullName}" (${file.name}) was skipped, but lacks nothing on this machine that its name lists`,
        );
      }
    }
  }
  if (exitCode !== 0 && count.failed === 0) {
    count.failed++;
    count.errors.push(`vitest ended with exit code ${exitCode} although no test failed`);
  }
  return count;
}
