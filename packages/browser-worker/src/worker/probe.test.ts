import type { JobManifest } from "@volary/core/job";
import type { GradientModel, StepInput } from "@volary/core/training";
import { expect, test } from "vitest";
import type { DeviceName, OpenDevice } from "../device/device.ts";
import { fastestOf, probe, probeInput } from "./probe.ts";

const probed = (name: DeviceName, computeMs: number, loss: number) => ({
  device: device(name),
  samples: 256,
  computeMs,
  loss,
});

test("the fastest device is taken, if its loss is that of the simplest one", () => {
  expect(fastestOf([])).toBeUndefined();
  expect(fastestOf([probed("webgl", 9, 0.7)])!.device.name).toBe("webgl");
  expect(fastestOf([probed("webgpu", 9, 0.7), probed("webgl", 5, 0.7001), probed("wasm", 7, 0.7)])!.device.name).toBe(
    "webgl",
  );
  const log: string[] = [];
  expect(fastestOf([probed("webgl", 1, 0.8), probed("wasm", 7, 0.7)], (line) => log.push(line))!.device.name).toBe(
    "wasm",
  );
  expect(log).toEqual(["webgl is not used: its loss is 0.8, and that of wasm is 0.7"]);
  expect(fastestOf([probed("webgl", 1, NaN), probed("wasm", 7, 0.7)])!.device.name).toBe("wasm");
});

test("a step is taken at two sizes, and the second of the last size measured", async () => {
  const take = async (msPerSample: number) => {
    const steps: StepInput[] = [];
    let now = 0;
    const found = await probe(device("webgl"), {
      ...options(async (at) => {
        steps.push(at);
        now += at.samples * msPerSample;
        return { rowGrads: new Float32Array(1), denseGrads: new Float32Array(1), lossSum: 3 * at.samples };
      }),
      now: () => now,
    });
    return { samples: steps.map(({ samples }) => samples), found };
  };
  expect(await take(1)).toMatchObject({
    samples: [32, 32, 256, 256],
    found: { samples: 256, computeMs: 256, loss: 3 },
  });
  expect(await take(10), "a slow device").toMatchObject({
    samples: [32, 32],
    found: { samples: 32, computeMs: 320, loss: 3 },
  });
});

test.each([
  ["loss", { rowGrads: new Float32Array(1), denseGrads: new Float32Array(1), lossSum: NaN }],
  ["gradient", { rowGrads: new Float32Array(1), denseGrads: Float32Array.of(Infinity), lossSum: 1 }],
])("a %s that is not finite is refused", async (_, gradients) => {
  await expect(
    probe(
      device("webgl"),
      options(async () => gradients),
    ),
  ).rejects.toThrow("of 32 samples are not finite");
});

test("a device that was lost in its probe is refused", async () => {
  const finite = { rowGrads: new Float32Array(1), denseGrads: new Float32Array(1), lossSum: 1 };
  const lost = { ...device("webgl"), lost: () => "the context was lost" };
  await expect(
    probe(
      lost,
      options(async () => finite),
    ),
  ).rejects.toThrow("the context was lost");
});

test("a step has the shapes of its job, and labels that its loss can compare", () => {
  const at = probeInput(MANIFEST, 4);
  expect(at.rows.length).toBe(4 * (3 + 5 * 2));
  expect(at.numbers.length).toBe(4 * 6);
  expect(at.masks).toEqual(new Float32Array(4 * 5).fill(1));
  expect([...at.label]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]);
  const { compile, model } = MANIFEST;
  const labels = (loss: JobManifest["compile"]["loss"], outputs: number) => [
    ...probeInput({ ...MANIFEST, compile: { ...compile, loss }, model: { ...model, outputs } }, 3).label,
  ];
  expect(labels("sparseCategoricalCrossentropy", 7)).toEqual([0, 1, 0]);
  expect(labels("binaryCrossentropy", 1)).toEqual([0, 1, 0]);
});

const MANIFEST = {
  model: {
    embeddings: [
      { input: "a", field: "a", table: "t", dim: 3, usage: { kind: "one" } },
      { input: "b", field: "b", table: "t", dim: 2, usage: { kind: "sequence", length: 5, mask: "padding" } },
    ],
    numbers: [{ input: "c", field: "c", shape: [2, 3] }],
    variables: [],
    outputs: 3,
  },
  compile: { optimizer: { kind: "none" }, loss: "categoricalCrossentropy", metrics: [] },
} as unknown as JobManifest;

function device(name: DeviceName): OpenDevice {
  return { name, description: "", lost: () => undefined, whenLost: new Promise(() => {}) };
}

function options(step: GradientModel["step"]) {
  const model = { denseFloats: 2, setDense: () => {}, step, dispose: () => {} } as unknown as GradientModel;
  return { manifest: MANIFEST, now: () => 0, log: () => {}, openModel: async () => model };
}
