import { describe, expect, it } from "vitest";
import { scriptedJob, scriptedNews } from "../testing/scripted-status.ts";
import { JobCurves } from "./job-curves.ts";

describe("JobCurves", () => {
  it("has a job's history, and then what is new in it", () => {
    const curves = new JobCurves();
    curves.addNews(scriptedNews({ step: 60 }));
    expect(curves.loss.steps).toHaveLength(60);
    expect(curves.metrics.get("auc")!.steps).toEqual([50]);
    curves.addNews(scriptedNews({ step: 101 })); // tells the first 60 again
    expect(curves.loss.steps).toHaveLength(101);
    expect(curves.metrics.get("auc")!.steps).toEqual([50, 100]);
    expect([...curves.metrics.keys()]).toEqual(["loss", "auc"]);
  });

  it("knows a job's speed over the last seconds", () => {
    const curves = new JobCurves();
    expect(curves.samplesPerSecond).toBeUndefined();
    for (let second = 0; second <= 20; second++) {
      // 1 step of 256 samples a second, then 10.
      const step = second <= 10 ? second : 10 + 10 * (second - 10);
      curves.addStatus(scriptedJob({ step }), 7_000 + 1_000 * second);
    }
    expect(curves.samplesPerSecond).toBe(2560);
    expect(curves.speed.steps).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(curves.speed.values[0]).toBe(256);
  });

  it("has no speed while nothing trains, and never one below 0", () => {
    const curves = new JobCurves();
    curves.addStatus(scriptedJob({ step: 1 }), 0);
    curves.addStatus(scriptedJob({ step: 2 }), 1_000);
    curves.addStatus({ ...scriptedJob({ step: 2 }), phase: "evaluating" }, 2_000);
    expect(curves.samplesPerSecond).toBeUndefined();
    curves.addStatus(scriptedJob({ step: 2 }), 3_000);
    curves.addStatus(scriptedJob({ step: 1 }), 4_000); // another coordinator's count
    expect(curves.samplesPerSecond).toBe(0);
  });
});
