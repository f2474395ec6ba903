import { expect, it } from "vitest";
import { LIMITS } from "../../limits.ts";
import { SimulatedClock } from "../../testing/index.ts";
import type { Control } from "../../wire/index.ts";
import { StepTimes } from "./step-times.ts";

const EVERY = LIMITS.stepTimesEveryMs;

function stepTimes() {
  const clock = new SimulatedClock();
  const told: Control[] = [];
  return { clock, told, times: new StepTimes({ job: 1, clock, tell: (control) => told.push(control) }) };
}

it("tells of a first step at once, and then of all since, the newest by its number", async () => {
  const { clock, told, times } = stepTimes();
  times.add({ term: 1, step: 1, samples: 10, computeMs: 5 });
  expect(told).toEqual([{ type: "step-times", job: 1, term: 1, step: 1, samples: 10, computeMs: 5 }]);
  for (let step = 2; step <= 4; step++) {
    await clock.advance(1);
    times.add({ term: 2, step, samples: 10, computeMs: 2 });
  }
  await clock.advance(EVERY - 4);
  expect(told).toHaveLength(1);
  await clock.advance(1);
  expect(told).toHaveLength(2);
  expect(told[1]).toEqual({ type: "step-times", job: 1, term: 2, step: 4, samples: 30, computeMs: 6 });
});

it("tells of every step where steps are long, and nothing where there is none", async () => {
  const { clock, told, times } = stepTimes();
  for (let step = 1; step <= 3; step++) {
    await clock.advance(2 * EVERY);
    times.add({ term: 1, step, samples: 10, computeMs: 2 * EVERY });
    expect(told).toHaveLength(step);
  }
  await clock.advance(10 * EVERY);
  expect(told).toHaveLength(3);
});

it("tells nothing after it is closed", async () => {
  const { clock, told, times } = stepTimes();
  times.add({ term: 1, step: 1, samples: 10, computeMs: 5 });
  times.add({ term: 1, step: 2, samples: 10, computeMs: 5 });
  times.close();
  await clock.advance(10 * EVERY);
  expect(told).toHaveLength(1);
});
