import { expect, it } from "vitest";
import { ClusterError } from "../../errors.ts";
import type { Control } from "../../wire/index.ts";
import { CoordinatorLine } from "./coordinator-line.ts";

/** A line of job 7, and the messages that went over it. */
function lineOf({ badRows = 0 } = {}) {
  const told: Control[] = [];
  const data = { badRows };
  const first = [{ row: 1, place: "train.csv:2", fault: "no number" }];
  const dataset = {
    trainRows: 100,
    testRows: 10,
    fingerprint: "f",
    badRows: () => ({ count: data.badRows, first: first.slice(0, data.badRows) }),
    blocks: undefined,
  };
  const send = (control: Control) => void told.push(structuredClone(control));
  return { line: new CoordinatorLine({ job: 7, dataset, coordinator: { send } }), told, data };
}

const commit = (step: number) => ({ step, attempt: 1, samples: 2, lossSum: 0.5 });

it("asks for a new term once in each", () => {
  const { line, told } = lineOf();
  for (const term of [1, 1, 2]) line.askForNewTerm(term, `lost in ${term}`);
  expect(told).toEqual([
    { type: "term-request", job: 7, term: 1, reason: "lost in 1" },
    { type: "term-request", job: 7, term: 2, reason: "lost in 2" },
  ]);
});

it("says nothing once the job is left", () => {
  const { line, told } = lineOf({ badRows: 1 });
  line.close();
  line.ready();
  line.fail(new Error("late"));
  line.evaluated(1, { samples: 0 } as never);
  line.reportCommits(1);
  line.askForNewTerm(1, "late");
  line.askForLease("train", 1);
  expect(line.closed).toBe(true);
  expect(told).toEqual([]);
});

it("the code of a failure is the error's, where it has one", () => {
  const { line, told } = lineOf();
  line.fail(new ClusterError("BAD_DATA", "a column is missing"));
  line.fail("no error at all");
  expect(told).toEqual([
    { type: "fail", job: 7, code: "BAD_DATA", message: "a column is missing" },
    { type: "fail", job: 7, code: "JOB_FAILED", message: "no error at all" },
  ]);
});

it("tells of rows that were left out before it is ready, and again only of more", () => {
  const { line, told, data } = lineOf({ badRows: 1 });
  line.ready();
  line.tellBadRows();
  data.badRows = 3;
  line.tellBadRows();
  const bad = { type: "bad-rows", job: 7, scope: "data", first: ["train.csv:2: no number"] };
  expect(told).toEqual([
    { ...bad, count: 1 },
    { type: "ready", job: 7, trainRows: 100, testRows: 10, fingerprint: "f" },
    { ...bad, count: 3 },
  ]);
});

it("a term's first report repeats the newest commits, and later ones have one each", () => {
  const { line, told } = lineOf();
  const steps = Array.from({ length: 70 }, (_, i) => i + 1);
  for (const step of steps) line.noteCommit(commit(step));
  line.reportCommits(1);
  line.noteCommit(commit(71));
  line.reportCommits(1);
  line.reportCommits(2);
  const reported = told.map((control) => (control.type === "progress" ? control.commits.map(({ step }) => step) : []));
  expect(reported).toEqual([steps.slice(-64), [71], [...steps.slice(-63), 71]]);
});
