import { beforeAll, describe, expect, test } from "vitest";
import { runBench, type BenchRun } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--megabytes", "4", "--rounds", "2", "--repeats", "2"];
const absent = process.env["VOLARY_ABSENT"]?.split(",") ?? [];

const positive = expect.toSatisfy((value: number) => value > 0);

describe("a run", () => {
  let run: BenchRun;
  beforeAll(async () => {
    run = await runBench("allreduce", ...SMALL);
  }, TIMEOUT_MS);

  test("two and four ranks get the exact sums for the bytes of a ring", () => {
    expect(run.code, run.stderr).toBe(0);
    expect(run.report).toMatchObject({
      name: "allreduce",
      metrics: {
        p2BytesPerSecond: positive,
        p4BytesPerSecond: positive,
        bytesOverIdeal: expect.toSatisfy((ratio: number) => ratio >= 1 && ratio <= 1.01),
        sumsExact: true,
        int8Error: expect.toSatisfy((error: number) => error > 0 && error < 0.02),
        topKError: expect.toSatisfy((error: number) => error > 0.5 && error < 1),
      },
    });
  });

  test.skipIf(absent.includes("mpi"))("[needs mpi] their speed is compared with that of Open MPI", () => {
    expect(run.report).toMatchObject({ metrics: { p2VsMpi: positive, p4VsMpi: positive } });
  });
});

test("late frames, sent twice, with a wrong value are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("allreduce", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  expect(report).toMatchObject({ metrics: { sumsExact: false } });
});
