/** Jobs whose workers are not equally fast: slices that fit them, and who is left out where one is stuck. */
import { bsp } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import type { SimulatedHost } from "@volary/core/testing";
import type { GradientModel } from "@volary/core/training";
import { describe, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { checkRun } from "./check-run.ts";
import { toyManifest, toyModel, type ToyFit } from "./toy-job.ts";

const WORKERS = 3;
/** 150 rows in steps of 16, the last one of 6. */
const STEPS_PER_EPOCH = 10;

/** A run in which each worker computes as long as `computeMs` says. */
async function run(fit: ToyFit, computeMs: (of: { host: SimulatedHost; samples: number; step: number }) => number) {
  const manifest = toyManifest({ workersMin: WORKERS, seed: 1, fit });
  const steps = new Map<SimulatedHost, number>();
  const openModel = ({ host }: { host: SimulatedHost }): GradientModel => {
    const model = toyModel();
    return {
      ...model,
      step: async (at) => {
        const step = (steps.get(host) ?? 0) + 1;
        steps.set(host, step);
        const ms = computeMs({ host, samples: at.samples, step });
        await new Promise<void>((resolve) => void host.clock.after(ms, resolve));
        return model.step(at);
      },
    };
  };
  const finished = await calmRun({ manifest, workers: WORKERS, openModel });
  expect(await checkRun({ manifest, finished })).toEqual({ steps: [], rows: [] });
  return finished;
}

describe("bsp({ balance: true })", () => {
  const computeMs = ({ host, samples }: { host: SimulatedHost; samples: number }) =>
    samples * (host.name === "worker-2" ? 40 : 10);

  test("trains each sample once an epoch, with slices that fit the workers, and is done sooner", async () => {
    const epochs = 8;
    const equal = await run({ epochs }, computeMs);
    const balanced = await run({ epochs, consistency: bsp({ balance: true }) }, computeMs);
    const { status, terms, history } = balanced;
    expect(history.epochs.map(({ samples }) => samples)).toEqual(Array.from({ length: epochs }, () => 150));
    expect(equal.terms).toHaveLength(1);
    expect(terms.length).toBeGreaterThan(1);
    expect(terms.length).toBeLessThanOrEqual(3);
    const [fast, other, slow] = terms.at(-1)!.shares!;
    expect(other).toBe(fast);
    expect(fast! / slow!).toBeGreaterThan(3.5);
    expect(fast! / slow!).toBeLessThan(4.5);
    expect(status.trainSeconds).toBeLessThan(0.7 * equal.status.trainSeconds);
  });

  test("leaves equal workers equal slices", async () => {
    const { terms } = await run({ epochs: 4, consistency: bsp({ balance: true }) }, ({ samples }) => 20 * samples);
    expect(terms).toEqual([{ term: 1, members: [1, 2, 3] }]);
  });
});

describe("a worker that is alive, but stuck", () => {
  test.each([0, 2])("is left out, and comes back: worker %i", async (stuck) => {
    const stuckMs = LIMITS.leftOutMsMin + LIMITS.leftOutMs;
    const { terms, commits } = await run({ epochs: 16 }, ({ host, step }) =>
      host.name === `worker-${stuck}` && step === 2 * STEPS_PER_EPOCH ? stuckMs : 400,
    );
    const others = [1, 2, 3].filter((worker) => worker !== stuck + 1);
    expect(terms.map(({ members }) => members)).toEqual([[1, 2, 3], others, [...others, stuck + 1]]);
    expect(commits.filter(({ attempt }) => attempt === 3).length).toBeGreaterThan(STEPS_PER_EPOCH);
  });
});
