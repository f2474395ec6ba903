/** Rows that workers keep, and gradients in fewer bytes: the toy job learns as it does without. */
import { asp, bsp, localSgd, ssp } from "@volary/core/consistency";
import { expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { toyManifest, type ToyFit } from "./toy-job.ts";

const WORKERS = 3;
const run = (fit: ToyFit) =>
  calmRun({ manifest: toyManifest({ workersMin: WORKERS, seed: 1, fit }), workers: WORKERS, psNodes: 2, replicas: 2 });

const topK = { gradients: { topK: 0.3 } };
const fits: readonly [string, ToyFit][] = [
  ["the longest rows in bsp", { wire: topK }],
  ["bfloat16 with error feedback in bsp", { wire: { gradients: "bfloat16", errorFeedback: true } }],
  ["the longest rows with a quorum", { consistency: bsp({ quorum: 1 }), wire: topK }],
  ["kept rows in ssp", { consistency: ssp({ stalenessSteps: 2 }), cache: { stalenessSteps: 2 } }],
  ["kept rows in asp, few of them", { consistency: asp(), cache: { stalenessSteps: 3, rowsMax: 8 } }],
  ["kept rows and the longest ones in asp", { consistency: asp(), cache: { stalenessSteps: 2 }, wire: topK }],
  [
    "kept rows and int8 in local SGD",
    {
      consistency: localSgd({ every: 4 }),
      cache: { stalenessSteps: 2 },
      wire: { rows: "int8", gradients: "int8", errorFeedback: true },
    },
  ],
];

test.each(fits)("%s", async (_, fit) => {
  const [plain, { status }] = [await run({}), await run(fit)];
  expect(status).toMatchObject({ phase: "done", samples: 300, evaluated: 40 });
  expect(status.metrics!["mse"]).toBeLessThan(1.5 * plain.status.metrics!["mse"]!);
  if (fit.cache === undefined) return;
  expect(status.batches!.cachedRows).toBeGreaterThan(0);
  expect(status.batches!.cachedRows).toBeLessThan(status.batches!.rows);
});
