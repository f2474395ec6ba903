import { expect, test } from "vitest";
import { LIMITS } from "../../limits.ts";
import { LeafPace } from "./leaf-pace.ts";
import { LeafShares } from "./leaf-shares.ts";

test("who is in time just often enough to be waited for, and else answers just before its deadline, gains nothing", () => {
  const [stepMs, samples, steps] = [200, 1024, 2_000];
  const inTime = [60, 150, 240];
  const shares = new LeafShares({ rowFloats: 8 });
  shares.noteOwn(samples, stepMs);
  const pace = new LeafPace({ samples: 16, computeMs: 1 }, { stepMs });
  let waited = 0;
  let tasks = 0;
  for (let step = 0; step < steps; step++) {
    const [share] = shares.plan(samples, [{ pace }]);
    if (!share) continue;
    const ms = inTime[tasks++ % 5] ?? pace.deadlineMs - 1;
    const waitedMs = Math.max(0, ms - stepMs);
    waited += waitedMs;
    pace.spend(Math.max(0, waitedMs - LIMITS.leafSlowdownMax * stepMs));
    pace.note({ samples: share.samples, ms, waitedMs, stepMs });
  }
  expect(tasks).toBeGreaterThan(10);
  const most = 2 * LIMITS.leafSlowdownMax * stepMs * steps;
  expect(waited).toBeLessThan(most + LIMITS.leafPatienceMs + LIMITS.leafFirstMs);
});

test("a task that took minutes is not held against a volunteer for ever", () => {
  const stepMs = 200;
  const shares = new LeafShares({ rowFloats: 8 });
  shares.noteOwn(1024, stepMs);
  const pace = new LeafPace({ samples: 16, computeMs: 1 }, { stepMs });
  pace.note({ samples: 16, ms: 600_000, waitedMs: 600_000, stepMs });
  let isGiven = false;
  for (let step = 0; step < 1_000 && !isGiven; step++) isGiven = shares.plan(1024, [{ pace }]).length > 0;
  expect(isGiven).toBe(true);
});
