/** Jobs that devices are tried with where there is none yet: what recommenders look like, and what filters pictures. */
import * as tf from "@tensorflow/tfjs";
import { column, file, parquet } from "@volary/core/data";
import { defineJob, embedding, fm, input, manifestOf, through, type JobDefinition } from "@volary/core/model";
import type { JobManifest } from "@volary/core/job";

export const STANDARD_JOBS = ["a deep factorization machine", "a convolutional net"] as const;
export type StandardJob = (typeof STANDARD_JOBS)[number];

const FIELDS = Array.from({ length: 24 }, (_, i) => `field${i + 1}`);

/** 24 embeddings of 16 floats, their pairs, and a tower of 64, 32 and 1 units: steps of 4096 samples. */
const deepFm: JobDefinition = defineJob({
  name: STANDARD_JOBS[0],
  data: parquet(file("none.parquet"), {
    fields: Object.fromEntries(FIELDS.map((name) => [name, name])),
    label: column("label"),
  }),
  model: () => {
    const inputs = FIELDS.map((name) => input({ name, dtype: "string" }));
    const rows = inputs.map((field, i) => embedding({ table: FIELDS[i]!, dim: 16 }).apply(field));
    const deep = through(
      rows,
      tf.layers.concatenate(),
      tf.layers.dense({ units: 64, activation: "relu" }),
      tf.layers.dense({ units: 32, activation: "relu" }),
      tf.layers.dense({ units: 1 }),
    );
    const outputs = through([through(rows, fm()), deep], tf.layers.add(), sigmoid());
    return tf.model({ inputs, outputs });
  },
  compile: { optimizer: "adam", loss: "binaryCrossentropy" },
  fit: { batchSize: 4096 },
});

/** Pictures of 12 by 12 pixels through two convolutions, of which the second is depthwise, and two poolings. */
const convolution: JobDefinition = defineJob({
  name: STANDARD_JOBS[1],
  data: parquet(file("none.parquet"), { fields: { picture: "picture" }, label: column("label") }),
  model: () => {
    const picture = input({ name: "picture", dtype: "float32", shape: [12, 12, 3] });
    const outputs = through(
      picture,
      tf.layers.conv2d({ filters: 8, kernelSize: 3, activation: "relu" }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      tf.layers.depthwiseConv2d({ kernelSize: 3, activation: "relu" }),
      tf.layers.averagePooling2d({ poolSize: 2, strides: 1 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 1 }),
      sigmoid(),
    );
    return tf.model({ inputs: picture, outputs });
  },
  compile: { optimizer: "adam", loss: "binaryCrossentropy" },
  fit: { batchSize: 256 },
});

const sigmoid = () => tf.layers.activation({ activation: "sigmoid" });

export async function standardJob(name: StandardJob): Promise<JobManifest> {
  const { manifest } = await manifestOf(name === deepFm.name ? deepFm : convolution, { workersMin: 1 });
  return manifest;
}
