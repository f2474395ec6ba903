import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { gradientsContract } from "./gradients.contract.ts";

gradientsContract(() => tf.setBackend("cpu"));
