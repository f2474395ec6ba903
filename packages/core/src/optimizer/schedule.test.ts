import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  adagrad,
  adam,
  cosineDecay,
  exponentialDecay,
  ftrl,
  learningRateAt,
  linearWarmup,
  optimizerOf,
  optimizerSpecSchema,
  piecewiseConstant,
  sgd,
  type LearningRateSchedule,
  type OptimizerSpec,
} from "./index.ts";

const rateAt = (learningRate: LearningRateSchedule, step: number): number =>
  learningRateAt(sgd({ learningRate }), step);

describe("what is refused", () => {
  test.each([
    [
      () => cosineDecay({ initialLearningRate: 1, decaySteps: 0 }),
      /^cosineDecay\(\): decaySteps: Too small: expected number to be >=1/,
    ],
    [
      () => exponentialDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: -1 }),
      /^exponentialDecay\(\): decayRate: /,
    ],
    [
      () => piecewiseConstant({ boundaries: [10], values: [1] }),
      "piecewiseConstant(): 1 boundaries and 1 values; give one value more than boundaries",
    ],
    [
      () => piecewiseConstant({ boundaries: [10, 10], values: [1, 2, 3] }),
      "piecewiseConstant(): boundaries must ascend: boundaries[1] is 10 after 10",
    ],
    [() => linearWarmup({ learningRate: 1, warmupSteps: 1.5 }), /^linearWarmup\(\): warmupSteps: /],
    [
      () => sgd({ learningRate: linearWarmup({ learningRate: -1, warmupSteps: 1 }) }),
      /^sgd: learningRate is -1 and must be/,
    ],
  ])("%#", (build, message) => {
    expect(build).toThrow(RangeError);
    expect(build).toThrow(message);
  });

  test("a schedule for ftrl, whose state is made of its learning rate", () => {
    const learningRate: unknown = linearWarmup({ learningRate: 1, warmupSteps: 3 });
    expect(() => ftrl({ learningRate: learningRate as number })).toThrow(
      new RangeError(
        "ftrl: its learning rate cannot change with the step, because its state z is made of it; give a number, or use adagrad()",
      ),
    );
  });

  test("a schedule of another's making whose factors do not fit its boundaries", () => {
    const spec = (boundaries: number[], factors: number[]): OptimizerSpec => ({
      kind: "sgd",
      learningRate: 1,
      schedule: { kind: "piecewise", boundaries, factors, warmupSteps: 0 },
    });
    expect(() => optimizerOf(spec([5], [1]))).toThrow(
      "sgd: schedule has 1 boundaries and 1 factors; give one factor more",
    );
    expect(() => optimizerOf(spec([5, 4], [1, 2, 3]))).toThrow("boundaries[1] is 4 after 5");
  });
});

describe("a learning rate", () => {
  test("is float32 and always the same without a schedule, and 0 where there is none", () => {
    expect([1, 2, 1e9].map((step) => learningRateAt(adagrad({ learningRate: 0.1 }), step))).toEqual(
      Array(3).fill(Math.fround(0.1)),
    );
    expect(learningRateAt({ kind: "none" }, 1)).toBe(0);
  });

  test("of a cosine is Keras's CosineDecay, with its warm-up", () => {
    // CosineDecay(initial_learning_rate=0, decay_steps=1000, alpha=0.1, warmup_target=0.002, warmup_steps=100)
    const keras = (t: number) => {
      if (t < 100) return (0.002 * t) / 100;
      const part = Math.min(t - 100, 1000) / 1000;
      return 0.002 * ((1 - 0.1) * (0.5 * (1 + Math.cos(Math.PI * part))) + 0.1);
    };
    const schedule = cosineDecay({ initialLearningRate: 0.002, decaySteps: 1000, alpha: 0.1, warmupSteps: 100 });
    for (let t = 0; t < 1300; t++) expect(rateAt(schedule, t + 1)).toBe(Math.fround(keras(t)));
  });

  test("of an exponential is Keras's ExponentialDecay", () => {
    const schedule = { initialLearningRate: 0.1, decaySteps: 70, decayRate: 0.96 };
    for (const t of [0, 1, 69, 70, 71, 700, 100_000]) {
      expect(rateAt(exponentialDecay(schedule), t + 1)).toBeCloseTo(0.1 * 0.96 ** (t / 70), 8);
      expect(rateAt(exponentialDecay({ ...schedule, staircase: true }), t + 1)).toBe(
        Math.fround(0.1 * 0.96 ** Math.floor(t / 70)),
      );
    }
  });

  test("of pieces is Keras's PiecewiseConstantDecay: a boundary is the last step of its value", () => {
    const schedule = piecewiseConstant({ boundaries: [10, 20], values: [1, 0.5, 0.1] });
    expect([0, 10, 11, 20, 21, 1e6].map((t) => rateAt(schedule, t + 1))).toEqual(
      [1, 1, 0.5, 0.5, 0.1, 0.1].map(Math.fround),
    );
  });

  test("of a warm-up rises evenly from 0 and stays", () => {
    const schedule = linearWarmup({ learningRate: 0.5, warmupSteps: 4 });
    expect([0, 1, 2, 3, 4, 99].map((t) => rateAt(schedule, t + 1))).toEqual([0, 0.125, 0.25, 0.375, 0.5, 0.5]);
  });

  test("never leaves its bounds", () => {
    const steps = fc.integer({ min: 1, max: 10_000 });
    fc.assert(
      fc.property(steps, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(100_000), fc.nat(1000), (n, x, t, warm) => {
        for (const schedule of [
          cosineDecay({ initialLearningRate: 1, decaySteps: n, alpha: x, warmupSteps: warm }),
          exponentialDecay({ initialLearningRate: 1, decaySteps: n, decayRate: x, warmupSteps: warm }),
        ]) {
          const rate = rateAt(schedule, t + 1);
          expect(rate >= 0 && rate <= 1).toBe(true);
        }
      }),
    );
  });
});

test("a spec with a schedule passes the schema of the wire", () => {
  const spec = adam({ learningRate: cosineDecay({ initialLearningRate: 0.002, decaySteps: 1000 }) });
  expect(spec).toMatchObject({ learningRate: 0.002, schedule: { kind: "cosine", steps: 1000, floor: 0 } });
  expect(optimizerSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
});
