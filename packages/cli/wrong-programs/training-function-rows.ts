// expect: Argument of type 'Tensor<Rank> | undefined' is not assignable
import * as tf from "@tensorflow/tfjs";
import { trainingFunction } from "@volary/core";

export const dot = trainingFunction({
  name: "dot",
  rows: { user: { table: "user", dim: 8 } },
  step: ({ rows, weight }) => tf.sum(tf.mul(weight, tf.sum(rows.usr, -1))), // wrong
});
