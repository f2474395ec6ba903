import type { GradientModel, StepInput } from "@volary/core/training";
import { expect, test } from "vitest";
import { compilingAhead } from "./compile-ahead.ts";

const NONE = new Float32Array(0);
const of = (samples: number): StepInput => ({ rows: NONE, numbers: NONE, label: NONE, samples, globalSamples: 8 });

/** A model that notes what is computed, and a compiler that is done when it is told. */
function setUp() {
  const log: string[] = [];
  const compilations: { done: () => void; fail: (why: Error) => void }[] = [];
  let compiling = 0;
  const note = (what: string, samples: number) =>
    log.push(`${compiling > 0 ? "look at" : "run"} ${what} of ${samples}`);
  const model: GradientModel = {
    denseFloats: 0,
    setDense: () => log.push("weights"),
    step: async ({ samples }) => {
      note("step", samples);
      return { rowGrads: NONE, denseGrads: NONE, lossSum: samples };
    },
    predict: async ({ samples }) => {
      note("prediction", samples);
      return NONE;
    },
    dispose: () => {},
  };
  const compile = async (compute: () => Promise<unknown>): Promise<void> => {
    compiling++;
    const looked = compute();
    compiling--;
    await looked;
    await new Promise<void>((resolve, reject) => compilations.push({ done: resolve, fail: reject }));
  };
  return { log, compilations, model: compilingAhead(model, compile) };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a step runs when its shaders are compiled, and others wait meanwhile", async () => {
  const { log, compilations, model } = setUp();
  const [step, prediction] = [model.step(of(6)), model.predict(of(6))];
  await settle();
  expect(log).toEqual(["look at step of 6"]);
  compilations[0]!.done();
  expect((await step).lossSum).toBe(6);
  await settle();
  expect(log).toEqual(["look at step of 6", "run step of 6", "look at prediction of 6"]);
  compilations[1]!.done();
  await prediction;
  expect(log.at(-1)).toBe("run prediction of 6");
});

test("shaders are looked for again where samples have doubled, not for each number of them", async () => {
  const { log, compilations, model } = setUp();
  const first = model.step(of(6));
  await settle();
  compilations[0]!.done();
  await first;
  await model.step(of(8));
  await model.step(of(0));
  expect(log.slice(2)).toEqual(["run step of 8", "run step of 0"]);
  const larger = model.step(of(9));
  await settle();
  compilations[1]!.done();
  await larger;
  expect(log.slice(4)).toEqual(["look at step of 9", "run step of 9"]);
});

test("a step whose shaders cannot be compiled rejects, and the next one tries again", async () => {
  const { log, compilations, model } = setUp();
  const step = model.step(of(4));
  await settle();
  compilations[0]!.fail(new Error("no such extension"));
  await expect(step).rejects.toThrow("no such extension");
  const again = model.step(of(4));
  await settle();
  compilations[1]!.done();
  await again;
  expect(log).toEqual(["look at step of 4", "look at step of 4", "run step of 4"]);
});
