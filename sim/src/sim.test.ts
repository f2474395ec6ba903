import type { GradientModel, StepGradients, StepInput } from "@volary/core/training";
import { describe, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { checkRun, type RunToCheck } from "./check-run.ts";
import { toyManifest, toyModel, type TableCare, type ToyFit } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";

function toyRun(
  workers: number,
  seed: number,
  fit: ToyFit = {},
  care: TableCare = {},
  { psNodes = 2, roomBytes }: { psNodes?: number; roomBytes?: number } = {},
) {
  return calmRun({
    manifest: toyManifest({ workersMin: workers, seed: 5, fit, care }),
    workers,
    seed,
    psNodes,
    roomBytes,
  });
}

/** All faults of a run. */
async function faultsOf(run: RunToCheck): Promise<string[]> {
  const { steps, rows } = await checkRun(run);
  return [...steps, ...rows];
}

/** The rows of a table by key, as they are. */
function rowsByKey({ tables }: FinishedJob): [string, [bigint, number[]][]][] {
  return [...tables].map(([name, { keys, values }]) => {
    const dim = values.length / keys.length;
    const rows = Array.from(keys, (key, i): [bigint, number[]] => [key, [...values.subarray(i * dim, (i + 1) * dim)]]);
    return [name, rows.toSorted(([a], [b]) => (a < b ? -1 : 1))];
  });
}

describe("simulated clusters", () => {
  test.each<ToyFit>([
    {},
    { wire: { rows: "bfloat16", gradients: "bfloat16" } },
    { wire: { rows: "int8", gradients: "int8" }, prefetch: 0 },
  ])("the same plan gives the same bits whatever the timing: %j", async (fit) => {
    const [a, b] = [await toyRun(3, 1, fit), await toyRun(3, 2, fit)];
    expect(b.dense).toEqual(a.dense);
    for (const [name, { keys, values }] of a.tables) {
      const other = b.tables.get(name)!;
      expect(other.keys).toEqual(keys);
      expect(other.values).toEqual(values);
    }
  });
});

test.each(["float32", "bfloat16", "int8"] as const)(
  "the same plan gives the same bits on one PS node and on three, in memory and on disk: %s",
  async (dtype) => {
    const plain = await toyRun(3, 1, {}, { dtype });
    const others = [
      await toyRun(3, 2, {}, { dtype }, { psNodes: 1 }),
      await toyRun(3, 3, {}, { dtype }, { psNodes: 3, roomBytes: 1000 }),
    ];
    expect(others.map(({ spilled }) => spilled > 0)).toEqual([false, true]);
    for (const other of others) {
      expect(other.dense).toEqual(plain.dense);
      expect(rowsByKey(other)).toEqual(rowsByKey(plain));
    }
  },
);

describe("tables that admit keys and evict rows", () => {
  const counter = { kind: "exact", keysMax: 400 } as const;
  const counted: TableCare = { admission: { kind: "count", updates: 2, counter } };
  const bounded: TableCare = { eviction: { rowsMax: 16, expireSteps: 4, order: "least-recent" } };
  const rows = ({ tables }: FinishedJob): number[] => [...tables.values()].map(({ keys }) => keys.length);

  test("stay within their bounds, and keep the rows that their rules say", async () => {
    expect(rows(await toyRun(2, 3))).toEqual([23, 61]);
    for (const care of [counted, bounded, { ...counted, ...bounded }]) {
      const finished = await toyRun(2, 3, {}, care);
      const manifest = toyManifest({ workersMin: 2, seed: 5, care });
      expect(await faultsOf({ manifest, finished })).toEqual([]);
      if (care.eviction) expect(Math.max(...rows(finished))).toBeLessThanOrEqual(16);
      expect(await faultsOf({ manifest: toyManifest({ workersMin: 2, seed: 5 }), finished })).not.toEqual([]);
    }
  });

  test("decide the same whatever the timing", async () => {
    const [a, b] = [
      await toyRun(3, 1, {}, { ...counted, ...bounded }),
      await toyRun(3, 2, {}, { ...counted, ...bounded }),
    ];
    expect(b.tables).toEqual(a.tables);
    expect(b.dense).toEqual(a.dense);
  });
});

describe("validation", () => {
  test("changes not a bit of what is trained", async () => {
    const [without, often] = [await toyRun(3, 1), await toyRun(3, 1, { validate: { everySteps: 1 } })];
    expect(often.history.validations.length).toBe(often.commits.length);
    expect(without.history.validations.length).toBe(1);
    expect(often.dense).toEqual(without.dense);
    expect(often.tables).toEqual(without.tables);
    expect(often.status.metrics).toEqual(without.status.metrics);
  });

  test("ends training early where it no longer gets better, with the rows as they were then", async () => {
    const earlyStopping = { monitor: "mse", patience: 1, minDelta: 10, mode: "min" } as const;
    const fit = { validate: { everySteps: 3 }, earlyStopping };
    const finished = await toyRun(2, 3, fit);
    expect(finished.commits).toHaveLength(6);
    expect(finished.status.message).toContain("stopped early after step 6: mse is");
    expect(await faultsOf({ manifest: toyManifest({ workersMin: 2, seed: 5, fit }), finished })).toEqual([]);
  });
});

describe("a step that is not finite", () => {
  const spoilt: Record<string, (at: StepGradients) => StepGradients> = {
    "the loss is NaN": (at) => ({ ...at, lossSum: Number.NaN }),
    "a gradient of the embedding rows is not finite": (at) => ({ ...at, rowGrads: at.rowGrads.fill(Infinity, 3, 4) }),
    "a gradient of the dense weights is not finite": (at) => ({ ...at, denseGrads: at.denseGrads.fill(NaN, 1, 2) }),
  };
  test.each(Object.keys(spoilt))("fails the job with its step and fields, and is not applied: %s", async (what) => {
    let steps = 0;
    const openModel = (): GradientModel => {
      const model = toyModel();
      const step = async (at: StepInput): Promise<StepGradients> => {
        const result = await model.step(at);
        return ++steps === 5 ? spoilt[what]!(result) : result;
      };
      return { ...model, step };
    };
    const manifest = toyManifest({ workersMin: 1, seed: 5 });
    const { status, commits } = await calmRun({ manifest, workers: 1, openModel });
    expect(status.phase).toBe("failed");
    expect(status.message).toMatch(`${what} at step 5 (epoch 1) of job "toy"`);
    expect(status.message).toMatch(/a: \d+ distinct keys; b: .*; n: 0 … 0\.\d+, mean .*; label: 0 … 1/);
    expect(commits).toHaveLength(4);
  });
});

describe("the checks can fail:", () => {
  const fit = { validate: "epoch" } as const;
  const manifest = toyManifest({ workersMin: 2, seed: 5, fit });
  const sabotages: Record<string, (job: FinishedJob) => FinishedJob> = {
    "a flipped bit in a row": (job) => {
      job.tables.get("items")!.values[4]! += 1e-6;
      return job;
    },
    "a flipped bit in the dense weights": (job) => {
      job.dense[0]! += 1e-6;
      return job;
    },
    "a step committed twice": (job) => ({ ...job, commits: [...job.commits, job.commits[3]!] }),
    "a step never committed": (job) => ({ ...job, commits: job.commits.toSpliced(7, 1) }),
    "a step over other slots than its term's": (job) => ({
      ...job,
      terms: job.terms.map((t) => ({ ...t, members: [1, 2, 3] })),
    }),
    "a missing row": (job) => {
      const { keys, values } = job.tables.get("users")!;
      return { ...job, tables: new Map(job.tables).set("users", { keys: keys.slice(1), values: values.slice(2) }) };
    },
    "a validation that saw other rows": (job) => {
      job.history.validations[0]!.metrics["mse"]! += 0.001;
      return job;
    },
    "a validation left out": (job) => ({
      ...job,
      history: { ...job.history, validations: job.history.validations.slice(1) },
    }),
    "the loss of a step": (job) => {
      job.history.steps[2]!.loss += 0.01;
      return job;
    },
    "an epoch that was not told": (job) => ({
      ...job,
      history: { ...job.history, epochs: job.history.epochs.slice(1) },
    }),
    "test rows left out": (job) => ({ ...job, status: { ...job.status, evaluated: 39 } }),
  };
  test.each(Object.keys(sabotages))("%s", async (name) => {
    const finished = await toyRun(2, 3, fit);
    expect(await faultsOf({ manifest, finished })).toEqual([]);
    expect(await faultsOf({ manifest, finished: sabotages[name]!(finished) })).not.toEqual([]);
  });
});
