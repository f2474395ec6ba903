/** What is read ahead is what would have been read, and nothing is read for nobody. */
import { describe, expect, it } from "vitest";
import type { Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { stepPlan } from "../job/plan.ts";
import type { StepRows, StepRowsFactory } from "../rows/step-rows.ts";
import { StepsAhead } from "./steps-ahead.ts";

/** Which samples were read for a set of rows. */
interface Read {
  samples: number[];
  epoch: number;
}

function stepsAhead(o: { prefetch?: number; streamed?: boolean; trainRows?: number; failsAt?: number }): {
  ahead: StepsAhead;
  reads: Read[];
} {
  const { prefetch, streamed = false, trainRows = 100 } = o;
  const fit = { epochs: 2, batchSize: 10, shuffle: true, ...(prefetch === undefined ? {} : { prefetch }) };
  const manifest = { seed: 3, fit } as unknown as JobManifest;
  const reads: Read[] = [];
  const read: StepRowsFactory["read"] = (_, samples, epoch) => {
    const rows = { samples: [...samples], epoch };
    reads.push(rows);
    if (reads.length === o.failsAt) return Promise.reject(new Error("no such file"));
    return streamed ? Promise.resolve(rows as unknown as StepRows) : (rows as unknown as StepRows);
  };
  const plan = stepPlan({ manifest, trainRows });
  const dataset = { trainRows } as Dataset;
  return { ahead: new StepsAhead({ manifest, plan, dataset, rows: { read } as StepRowsFactory }), reads };
}

const ALONE = { rank: 0, slots: 1 };

describe("StepsAhead", () => {
  it("gives each step the samples that it has without reading ahead, over the end of an epoch too", () => {
    const without = stepsAhead({ prefetch: 0 });
    const { ahead } = stepsAhead({});
    for (let step = 1; step <= 20; step++) {
      const rows = ahead.take({ step, ...ALONE });
      ahead.readOn({ step, ...ALONE });
      expect(rows).toEqual(without.ahead.take({ step, ...ALONE }));
    }
  });

  it("reads one step of data in memory at a time, and no step twice", () => {
    const { ahead, reads } = stepsAhead({});
    void ahead.take({ step: 1, ...ALONE });
    ahead.readOn({ step: 1, ...ALONE });
    expect(reads).toHaveLength(2);
    ahead.readOn({ step: 1, ...ALONE });
    expect(reads).toHaveLength(3);
    ahead.readOn({ step: 1, ...ALONE });
    expect(reads).toHaveLength(3);
    void ahead.take({ step: 2, ...ALONE });
    expect(reads).toHaveLength(3);
  });

  it("reads all steps ahead of a stream, one after another, and none after the last one", async () => {
    const { ahead, reads } = stepsAhead({ streamed: true, prefetch: 5 });
    void ahead.take({ step: 1, ...ALONE });
    ahead.readOn({ step: 1, ...ALONE });
    expect(reads).toHaveLength(1);
    await ahead.take({ step: 6, ...ALONE });
    expect(reads).toHaveLength(6);
    void ahead.take({ step: 19, ...ALONE });
    ahead.readOn({ step: 19, ...ALONE });
    await ahead.take({ step: 20, ...ALONE });
    expect(reads).toHaveLength(8);
  });

  it("tells of a step that cannot be read who takes it, and reads on", async () => {
    const { ahead } = stepsAhead({ streamed: true, prefetch: 2, failsAt: 2 });
    void ahead.take({ step: 1, ...ALONE });
    ahead.readOn({ step: 1, ...ALONE });
    await expect(ahead.take({ step: 2, ...ALONE })).rejects.toThrow("no such file");
    const { ahead: without } = stepsAhead({ prefetch: 0 });
    expect(await ahead.take({ step: 3, ...ALONE })).toEqual(without.take({ step: 3, ...ALONE }));
  });

  it("drops what it has read for other members", () => {
    const { ahead, reads } = stepsAhead({});
    ahead.readOn({ step: 1, ...ALONE });
    const { samples } = ahead.take({ step: 2, rank: 1, slots: 2 }) as unknown as Read;
    expect(samples).toEqual(reads[0]!.samples.slice(5));
    expect(reads).toHaveLength(2);
  });
});
