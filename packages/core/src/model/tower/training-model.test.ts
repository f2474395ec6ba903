import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { trainingModelContract } from "./training-model.contract.ts";

trainingModelContract(() => tf.setBackend("cpu"));
