import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--joins", "1", "--rows", "20000", "--seconds", "2", "--settled-seconds"];

test("nodes join and leave without a loss, and the work is shared", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("elastic", ...SMALL, "10");
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "elastic",
    metrics: {
      movedOverIdealMax: expect.toSatisfy((moved: number) => moved <= 1.25),
      movedBetweenOld: 0,
      lost: 0,
      doubled: 0,
      unresolved: 0,
      failedPulls: 0,
      rowsIntact: true,
      busiestOverMean: expect.toSatisfy((share: number) => share <= 1.3),
    },
  });
});

test(
  "a forgetful placement, a node that hangs, miscounts and one hot partition are noticed",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr } = await runBench("elastic", "--control", ...SMALL, "2");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  },
);
