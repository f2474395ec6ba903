import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import { describe, expect, test } from "vitest";
import { compileOf } from "./compiled-model.ts";

function compiled(args: Partial<tfl.ModelCompileArgs>): tfl.LayersModel {
  const model = tfl.sequential({ layers: [tfl.layers.dense({ units: 1, inputShape: [2] })] });
  model.compile({ optimizer: "sgd", loss: "meanSquaredError", ...args });
  return model;
}

describe("compileOf()", () => {
  test("needs to be told of a model that is not compiled", () => {
    const model = tfl.sequential({ layers: [tfl.layers.dense({ units: 1, inputShape: [2] })] });
    expect(() => compileOf(model)).toThrow(
      /the model is not compiled, and compile says no optimizer and no loss; write/,
    );
    expect(() => compileOf(model, { optimizer: "adam" })).toThrow("compile says no loss;");
    expect(compileOf(model, { optimizer: "adam", loss: "hinge" })).toEqual({
      optimizer: "adam",
      loss: "hinge",
      metrics: [],
    });
  });

  test("what is given goes before what the model was compiled with", () => {
    const model = compiled({ optimizer: tf.train.rmsprop(0.1), metrics: ["acc"] });
    expect(compileOf(model, { optimizer: "adam", metrics: ["auc"] })).toEqual({
      optimizer: "adam",
      loss: "meanSquaredError",
      metrics: ["auc"],
    });
  });

  test("refuses what a cluster does not have, with what it has", () => {
    expect(() => compileOf(compiled({ optimizer: tf.train.rmsprop(0.1) }))).toThrow(
      /tfjs's RMSProp, which a cluster does not have; compile it with sgd, momentum, adagrad or adam/,
    );
    const mine = (a: tf.Tensor, b: tf.Tensor) => tf.mean(tf.sub(a, b));
    expect(() => compileOf(compiled({ loss: mine }))).toThrow(
      /loss function mine; name one of binaryCrossentropy, .*: functions do not travel/,
    );
    expect(() => compileOf(compiled({ loss: "cosineProximity" }))).toThrow('loss "cosineProximity"; name one of');
    expect(() => compileOf(compiled({ metrics: ["cosine"] }))).toThrow('metric "cosine"; name some of auc');
  });

  test.each([
    [tf.train.sgd(0.5), { kind: "sgd", learningRate: 0.5 }],
    [tf.train.momentum(0.1, 0.8, true), { kind: "momentum", learningRate: 0.1, momentum: 0.8, nesterov: true }],
    [
      tf.train.adam(0.002, 0.8, 0.99, 1e-6),
      { kind: "adam", learningRate: 0.002, beta1: 0.8, beta2: 0.99, epsilon: 1e-6 },
    ],
    [tf.train.adagrad(0.3, 0.2), { kind: "adagrad", learningRate: 0.3, initialAccumulator: 0.2 }],
  ])("takes over tfjs's optimizers with their numbers: %#", (optimizer, spec) => {
    expect(compileOf(compiled({ optimizer })).optimizer).toMatchObject(spec);
  });

  test("takes over losses and metrics by tfjs's names", () => {
    expect(compileOf(compiled({ loss: "binaryCrossentropy", metrics: ["acc", "mse"] }))).toMatchObject({
      loss: "binaryCrossentropy",
      metrics: ["accuracy", "mse"],
    });
    expect(compileOf(compiled({ loss: ["meanSquaredError"], metrics: "MAE" }))).toMatchObject({
      loss: "meanSquaredError",
      metrics: ["mae"],
    });
  });
});
