import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { layersContract } from "./layers.contract.ts";

layersContract(() => tf.setBackend("cpu"));
