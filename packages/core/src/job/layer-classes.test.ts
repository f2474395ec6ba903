import { serialization } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-layers";
import { expect, it } from "vitest";
import "../model/index.ts";
import { foreignClassOf, layerClasses } from "./layer-classes.ts";

it("knows what TensorFlow.js and Volary register, and nothing else", () => {
  const optimizers = ["Adadelta", "Adagrad", "Adam", "Adamax", "Momentum", "RMSProp", "SGD"];
  const registered = new Set(Object.keys(serialization.SerializationMap.getMap().classNameMap));
  expect([...layerClasses()].toSorted()).toEqual(
    [...registered].filter((name) => !optimizers.includes(name)).toSorted(),
  );
});

it("finds a class of an author's wherever it is", () => {
  const dense = { class_name: "Dense", config: { name: "a", kernel_initializer: { class_name: "Zeros", config: {} } } };
  const own = { class_name: "Bidirectional", config: { layer: { class_name: "MyCell", config: {} } } };
  const model = (...layers: object[]) => ({ class_name: "Model", config: { layers } });
  expect(foreignClassOf(model(dense))).toBeUndefined();
  expect(foreignClassOf(model(dense, own))).toBe("MyCell");
  expect(foreignClassOf(undefined)).toBeUndefined();
});
