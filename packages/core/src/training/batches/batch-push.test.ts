import { expect, test } from "vitest";
import { RowResiduals } from "../../compression/index.ts";
import type { Control, Frame, Link } from "../../wire/index.ts";
import { RowPlanner } from "../rows/step-rows.ts";
import { batchOf, eachKey, manifestOf, mapOf } from "../rows/test-batches.ts";
import { PushSlot } from "./batch-push.ts";

test("what a slot left out is kept once its step is over, not when the step begins anew", async () => {
  const sent: Frame[] = [];
  const link: Link = {
    name: "ps",
    listen: () => {},
    close: () => {},
    sendControl: (control: Control) => expect.unreachable(control.type),
    sendFrame: (f) => void sent.push(f),
  };
  const push = new PushSlot({ job: 1, nodes: { get: () => link } as never });
  const residuals = new RowResiduals();
  const manifest = manifestOf({ wire: { gradients: { topK: 0.5 } } });
  const planner = new RowPlanner({ manifest, map: mapOf({ nodes: 1 }), residuals });
  const rowGrads = Float32Array.of(1, 1, 1, 4, 0);
  const pushed = async (step: number, term: number): Promise<Record<string, number[]>> => {
    const rows = planner.rowsOf(batchOf({ keys: [[7, 9]] }));
    rows.scatter(rowGrads);
    const at = { job: 1, term, lease: 1, batch: step, settled: 0, begun: 0, slowest: 0, step, slot: 0 };
    await push.push({ given: { type: "batch", ...at }, rows, rowGrads, denseGrads: undefined });
    const f = sent.at(-1)!;
    const found: Record<string, number[]> = {};
    eachKey(f, ({ table, key, dim, at: from }) => {
      found[`${table}/${key}`] = [...f.values.subarray(from, from + dim)];
    });
    return found;
  };
  expect(await pushed(1, 1)).toEqual({ "2/9": [4, 0] });
  expect(await pushed(1, 2)).toEqual({ "2/9": [4, 0] });
  expect(residuals.rows).toBe(0);
  expect(await pushed(2, 2)).toEqual({ "2/9": [4, 0] });
  expect(await pushed(3, 2)).toEqual({ "1/7": [3, 3, 3] }); // longer by now: 5.2
  expect(await pushed(4, 2)).toEqual({ "2/9": [8, 0] });
});
