import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Clock } from "@volary/core/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRunRecorder } from "./run-recorder.ts";
import { decodedEvents } from "./testing/decode-events.ts";
import { jobStatus } from "../testing/job-status.ts";
import { pageOf } from "./testing/parse-page.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-report-"));
});
afterEach(() => rm(folder, { recursive: true }));

const clock: Clock = { now: () => 0, after: () => () => {} };
const warnings: string[] = [];
const inFolder = (...names: string[]) => path.join(folder, ...names);
const open = (o: { reportFile?: string; tensorboard?: string } = {}) => {
  warnings.length = 0;
  return openRunRecorder({
    reportFile: inFolder("out", "report.html"),
    clock,
    now: () => 1_700_000_000_000,
    onWarning: (message) => warnings.push(message),
    ...o,
  });
};

test("a report that cannot be written is known before training", async () => {
  await writeFile(inFolder("file"), "");
  await expect(open({ reportFile: inFolder("file", "r.html") })).rejects.toThrow(/cannot write the report .*--report/);
  await mkdir(inFolder("taken"));
  await expect(open({ reportFile: inFolder("taken") })).rejects.toThrow(/it is a folder; give a file/);
  expect((await readdir(folder)).toSorted()).toEqual(["file", "taken"]);
});

test("a report that cannot be written in the end is a warning", async () => {
  const recorder = await open();
  recorder.onStatus(jobStatus(1));
  await rm(inFolder("out"), { recursive: true });
  expect(await recorder.finish({})).toBeUndefined();
  expect(warnings).toEqual([expect.stringMatching(/the report .* was not written: .*ENOENT/)]);
});

test("a job that was refused at once leaves no report", async () => {
  const recorder = await open();
  expect(await recorder.finish({ failure: "no such column" })).toBeUndefined();
  expect(await readdir(inFolder("out"))).toEqual([]);
});

test("a run that failed leaves a report that says why, once", async () => {
  const recorder = await open();
  recorder.onStatus(jobStatus(3, { phase: "failed" }));
  expect(await recorder.finish({ failure: "the only PS node is lost" })).toBe(inFolder("out", "report.html"));
  expect(await recorder.finish({})).toBe(inFolder("out", "report.html"));
  const { texts } = pageOf(await readFile(inFolder("out", "report.html"), "utf8"));
  expect(texts).toEqual(expect.arrayContaining(["flights", "failed", "the only PS node is lost"]));
});

test("an event file is written beside the report only where it is asked for", async () => {
  const recorder = await open({ tensorboard: inFolder("logs") });
  const steps = [{ step: 1, loss: 0.5, samples: 10 }];
  recorder.onStatus(jobStatus(1, { trainSeconds: 0, news: { steps, epochs: [], validations: [] } }));
  recorder.onStatus(jobStatus(1, { phase: "done", metrics: { auc: 0.75 } }));
  await recorder.finish({});
  const [file = ""] = await readdir(inFolder("logs"));
  expect(decodedEvents(await readFile(inFolder("logs", file))).map(({ step, scalars }) => [step, scalars])).toEqual([
    [0, {}],
    [1, { loss: 0.5 }],
    [1, { val_auc: 0.75 }],
    [1, { samples_per_second: 20 }],
  ]);
  await (await open()).finish({});
  expect((await readdir(folder)).toSorted()).toEqual(["logs", "out"]);
});
