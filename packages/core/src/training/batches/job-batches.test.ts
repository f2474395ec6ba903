import fc from "fast-check";
import { expect, test } from "vitest";
import type { JobManifest } from "../../job/index.ts";
import { stepPlan } from "../job/plan.ts";
import { batchCount, batchesPerStep, placeOfBatch, samplesOfBatch } from "./job-batches.ts";

const job = fc.record({
  trainRows: fc.integer({ min: 1, max: 200 }),
  batchSize: fc.integer({ min: 1, max: 64 }),
  epochs: fc.integer({ min: 1, max: 3 }),
  workersMin: fc.integer({ min: 1, max: 9 }),
});

test("the batches of an epoch have each of its rows once", () => {
  fc.assert(
    fc.property(job, ({ trainRows, batchSize, epochs, workersMin }) => {
      const manifest = { fit: { batchSize, epochs }, workersMin } as JobManifest;
      const plan = stepPlan({ manifest, trainRows });
      const visits = Array.from({ length: epochs }, () => new Uint8Array(trainRows));
      const batches = batchCount(manifest, plan);
      expect(batches).toBe(plan.steps * batchesPerStep(manifest));
      let samples = 0;
      for (let batch = 0; batch < batches; batch++) {
        const place = placeOfBatch(manifest, batch);
        const { from, to } = plan.sliceOf({ ...place, slots: workersMin });
        expect(samplesOfBatch(manifest, plan, batch)).toBe(to - from);
        samples += to - from;
        for (let row = from; row < to; row++) visits[plan.epochOf(place.step)]![row]!++;
      }
      expect(samples).toBe(epochs * trainRows);
      expect(visits.every((epoch) => epoch.every((n) => n === 1))).toBe(true);
    }),
  );
});
