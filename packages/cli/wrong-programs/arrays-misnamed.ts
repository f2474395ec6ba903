// expect: 'labels' does not exist in type 'FitData
import type * as tf from "@tensorflow/tfjs";
import { Cluster } from "../src/index.ts";

declare const model: tf.LayersModel;
const cluster = await Cluster.local({ ps: 1, workers: 1 });

await cluster.fit(model, { x: { user: [7n, 8n] }, y: [0, 1], labels: [0, 1] }); // wrong
