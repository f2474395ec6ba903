// expect: the data has no field \"person\"
import type * as tf from "@tensorflow/tfjs";
import { csv } from "@volary/core";
import { Cluster } from "../src/index.ts";

declare const model: tf.LayersModel;
const cluster = await Cluster.local({ ps: 1, workers: 1 });
const data = csv("train.csv", { fields: { user: "user" }, label: "clicked" });
const held = csv("held.csv", { fields: { person: "user" }, label: "clicked" });
await cluster.fit(model, data, {
  validationData: held, // wrong
});
