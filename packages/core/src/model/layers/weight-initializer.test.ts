import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { initializers } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import {
  forWeight,
  weightInitializerFrom,
  weightInitializerJson,
  type WeightInitializer,
  type WeightInitializerArg,
} from "./weight-initializer.ts";

beforeAll(() => tf.setBackend("cpu"));

const draw = (initializer: WeightInitializer) => tf.tidy(() => Array.from(initializer.apply([2, 3]).dataSync()));

describe("weightInitializerFrom", () => {
  it("refuses what is no initializer", () => {
    const from = (given: unknown) => () => weightInitializerFrom("kernelInitializer", given as WeightInitializerArg);
    expect(from("glorot")).toThrow(/kernelInitializer is "glorot"; use one of .*"glorotNormal"/);
    expect(from({ stddev: 1 })).toThrow(/kernelInitializer is \{"stddev":1\}; give it a name, as "glorotNormal"/);
    expect(from({ className: "Mine", config: {} })).toThrow(/initializer "Mine" is unknown here; register/);
    expect(from(null)).toThrow(TypeError);
  });

  it("takes the names of tf.initializers, and what they make", () => {
    // Three need arguments; the last needs the chained operations of the whole of tfjs.
    const names = (Object.keys(initializers) as (keyof typeof initializers)[]).filter(
      (name) => !["constant", "identity", "varianceScaling", "orthogonal"].includes(name),
    );
    expect(names.length).toBe(11);
    for (const name of names) expect(draw(weightInitializerFrom("kernelInitializer", name))).toHaveLength(6);
    const given = initializers.constant({ value: 3 });
    expect(weightInitializerFrom("kernelInitializer", given)).toBe(given);
  });

  it("reads back what a config holds", () => {
    for (const given of [initializers.constant({ value: 3 }), initializers.glorotNormal({ seed: 4 })]) {
      const json = weightInitializerJson(given) as unknown as WeightInitializer;
      expect(draw(weightInitializerFrom("kernelInitializer", json))).toEqual(draw(given));
    }
  });
});

describe("forWeight", () => {
  it("draws each weight under a seed of its own, made of the initializer's", () => {
    const seeded = initializers.glorotNormal({ seed: 4 });
    const [a, b] = [draw(forWeight(seeded, "a")), draw(forWeight(seeded, "b"))];
    expect(a).not.toEqual(b);
    expect(draw(forWeight(seeded, "a"))).toEqual(a);
    expect(draw(forWeight(initializers.glorotNormal({ seed: 5 }), "a"))).not.toEqual(a);
  });

  it("leaves an initializer without a seed", () => {
    const given = initializers.ones();
    expect(forWeight(given, "a")).toBe(given);
  });
});
