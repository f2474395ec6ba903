/** Each checker of jobs whose batches the coordinator gives out finds what it is there for, and nothing else. */
import { asp, bsp, localSgd, ssp, type ConsistencySpec } from "@volary/core/consistency";
import { describe, expect, test } from "vitest";
import type { BatchMessage } from "./batch-messages.ts";
import { calmRun } from "./calm-run.ts";
import { faultsOfBatches } from "./check-batches.ts";
import { checkRun, type RunToCheck } from "./check-run.ts";
import { faultsOfStaleness } from "./check-staleness.ts";
import { closedSteps } from "./closed-steps.ts";
import { countingManifest, countingModel } from "./counting-job.ts";
import { toyManifest, toyModel } from "./toy-job.ts";

const given = (worker: number, batch: number, begun: number, lease = batch): BatchMessage => ({
  worker,
  control: { type: "batch", job: 1, term: 1, lease, batch, settled: 0, begun, slowest: 0, step: 1, slot: batch },
});
const done = (worker: number, batch: number, lease = batch): BatchMessage => ({
  worker,
  control: { type: "batch-done", job: 1, lease, batch, samples: 1, lossSum: 0, computeMs: 0 },
});
const term = (...members: number[]): BatchMessage => ({
  worker: members[0]!,
  control: { type: "term", job: 1, term: 1, heads: 1, members: members.map((worker) => ({ worker, address: "" })) },
});
const closed = (slots: number[], attempt = 1): BatchMessage => ({
  worker: 0,
  control: { type: "close", job: 1, step: 1, attempt, term: 1, heads: 1, slots, scale: 2 },
});
const committed = (step: number, attempt = 1): BatchMessage => ({
  worker: 0,
  control: { type: "committed", job: 1, step, attempt, heads: 1 },
});

describe("staleness", () => {
  const ahead = [term(1, 2), given(1, 0, 0), given(2, 1, 0), done(1, 0), given(1, 2, 1)];

  test("is how far a worker is ahead of the slowest when it is given a batch", () => {
    expect(faultsOfStaleness(ahead, 1)).toEqual([]);
    expect(faultsOfStaleness(ahead, 0)).toEqual([expect.stringContaining("worker 1 was given batch 2 after 1")]);
    expect(faultsOfStaleness(ahead.toSpliced(4, 0, done(2, 1)), 0)).toEqual([]);
  });

  test("is that of whoever had a batch first, until anyone has done it", () => {
    const late = [term(1, 2), given(1, 0, 0), given(2, 1, 0), done(1, 0), given(1, 1, 1, 9)];
    expect(faultsOfStaleness([...late, given(1, 2, 2)], 1)).toEqual([
      expect.stringContaining("worker 1 was given batch 2 after 2, where worker 2 has batch 1 after 0"),
    ]);
    expect(faultsOfStaleness([...late, done(1, 1, 9), given(1, 2, 2)], 1)).toEqual([]);
    expect(faultsOfStaleness([...late, term(1), given(1, 2, 2)], 1)).toHaveLength(1);
    expect(faultsOfStaleness([...late, done(1, 1, 9), given(1, 2, 1)], 1)).toEqual([
      expect.stringContaining("worker 1 was given batch 2 after 1, but had one after 1 before"),
    ]);
  });

  test("does not count lost workers, nor what was before all were level", () => {
    expect(faultsOfStaleness(ahead.toSpliced(4, 0, term(1)), 0)).toEqual([]);
    const evaluate: BatchMessage = { worker: 1, control: { type: "evaluate", job: 1, term: 1, step: 1 } };
    expect(faultsOfStaleness(ahead.toSpliced(4, 0, evaluate), 0)).toEqual([]);
  });
});

describe("steps that were closed", () => {
  const step = [given(1, 0, 0), given(2, 1, 0), given(3, 2, 0), closed([0, 2]), committed(1)];

  test("are the sum of the slots that were named", () => {
    expect(closedSteps(step)).toEqual({ steps: [expect.objectContaining({ batches: [0, 2], scale: 2 })], faults: [] });
  });

  test.each<[string, BatchMessage[], string]>([
    ["two attempts of one step", [...step, committed(1, 2)], "as attempt 1 and as attempt 2"],
    ["a step that was never closed", [given(1, 0, 0), committed(1)], "never closed"],
    ["a step that is closed twice", [...step, closed([0])], "with slots 0,2 and with slots 0"],
    ["a step that is left out", [...step, committed(3)], "after 1 steps"],
  ])("cannot be %s", (_, messages, fault) => {
    expect(closedSteps(messages).faults.join()).toContain(fault);
  });
});

const WORKERS = 2;

async function trained(consistency: ConsistencySpec): Promise<Required<RunToCheck>> {
  const of = { workersMin: WORKERS, seed: 5, fit: { consistency } };
  const isAtOnce = consistency.mode !== "bsp";
  const manifest = isAtOnce ? countingManifest(of) : toyManifest(of);
  const openModel = () => (isAtOnce ? countingModel() : toyModel());
  const { messages, ...finished } = await calmRun({ manifest, workers: WORKERS, psNodes: 2, openModel });
  return { manifest, finished, messages, wasFinished: false, tolerance: 0 };
}

describe.each<[string, ConsistencySpec]>([
  ["asp", asp()],
  ["ssp", ssp({ stalenessSteps: 1 })],
  ["rounds", localSgd({ every: 3 })],
  ["a quorum", bsp({ quorum: 0.5 })],
])("of a job in %s", (_, consistency) => {
  const faultsOf = async (run: Required<RunToCheck>) => [
    ...Object.values(await checkRun(run)).flat(),
    ...faultsOfBatches(run),
  ];
  /** Without what was said of one batch, or of the step that it was in. */
  const withoutOne = (run: Required<RunToCheck>): Required<RunToCheck> => {
    const isOne = ({ control }: BatchMessage) =>
      (control.type === "batch-done" && control.batch === 3) || (control.type === "close" && control.step === 3);
    return { ...run, messages: run.messages.filter((message) => !isOne(message)) };
  };
  const sabotages: Record<string, (run: Required<RunToCheck>) => Required<RunToCheck>> = {
    "a weight that is off by a half": (run) => {
      run.finished.tables.get("users")!.values[3]! += 0.5;
      return run;
    },
    "a dense weight that is off by a half": (run) => {
      run.finished.dense[2]! += 0.5;
      return run;
    },
    "a batch that is not trained": withoutOne,
    "a batch that is finished twice": (run) => {
      run.finished.status.batches!.finished++;
      return run;
    },
  };

  test.each(Object.keys(sabotages))("%s is noticed", async (name) => {
    const run = await trained(consistency);
    expect(await faultsOf(run)).toEqual([]);
    expect(await faultsOf(sabotages[name]!(run))).not.toEqual([]);
  });
});
