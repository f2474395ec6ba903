import { expect, test } from "vitest";
import { maySkip } from "./absences.mjs";
import { countReport } from "./test-report.mjs";

/** @param {Record<string, string>} tests name to status */
const reportOf = (tests, status = "passed") => ({
  testResults: [
    {
      name: "a.test.ts",
      status,
      assertionResults: Object.entries(tests).map(([fullName, state]) => ({ fullName, status: state })),
    },
  ],
});

const machine = { exitCode: 0, absent: ["redis"], data: undefined };

test("countReport() counts passes and failures, and names these", () => {
  const count = countReport(reportOf({ a: "passed", b: "passed", c: "failed" }, "failed"), { ...machine, exitCode: 1 });
  expect(count).toMatchObject({ passed: 2, failed: 1, skipped: 0, errors: ['"c" (a.test.ts) failed'] });
});

test("countReport() lets a test skip for what the machine lacks", () => {
  expect(countReport(reportOf({ "ps is fast [needs redis]": "skipped" }), machine)).toMatchObject({
    failed: 0,
    skipped: 1,
  });
});

test.each([
  ["lacks nothing", "ps is fast"],
  ["lacks something that is here", "rings agree [needs mpi]"],
  ["lacks something unlisted", "sings [needs a voice]"],
])("countReport() fails a skipped test that %s", (_, name) => {
  const count = countReport(reportOf({ [name]: "skipped" }), machine);
  expect(count).toMatchObject({ failed: 1, skipped: 0, errors: [expect.stringContaining(name)] });
});

test("countReport() fails a todo, a file that does not load, and a vitest that died", () => {
  expect(countReport(reportOf({ later: "todo" }), machine).failed).toBe(1);
  expect(countReport(reportOf({}, "failed"), machine).failed).toBe(1);
  expect(countReport(undefined, { ...machine, exitCode: 134 }).failed).toBe(1);
});

test("maySkip() asks for one data set where the name has one", () => {
  const here = import.meta.dirname;
  const name = (/** @type {string} */ folder) => `trains [needs data set: ${folder}]`;
  expect(maySkip(name("no-such-folder"), { absent: [], data: here })).toBe(true);
  expect(maySkip(name("."), { absent: [], data: here })).toBe(false);
  expect(maySkip(name("."), { absent: ["data set"], data: undefined })).toBe(true);
});
