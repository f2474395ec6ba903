import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 120_000;
const SMALL = ["--devices", "cuda,wasm", "--samples", "256", "--steps", "10", "--rounds", "1"];

const positive = expect.toSatisfy((value: number) => value > 0);

test("devices are compared with plain JavaScript, and leave no tensor behind", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("devices", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "devices",
    metrics: {
      parityMax: expect.toSatisfy((difference: number) => difference > 0 && difference <= 1e-5),
      wasmStepMs: positive,
      cpuStepMs: positive,
      wasmSteps: 10,
      wasmTensorsLeft: 0,
      wasmBytesLeft: 0,
      cpuTensorsLeft: 0,
    },
  });
});

test("wrong weights and tensors left behind are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr } = await runBench("devices", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
});
