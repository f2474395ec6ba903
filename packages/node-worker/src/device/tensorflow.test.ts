/** TensorFlow's library keeps every promise of the training model and of Volary's layers, where it is installed. */
import { gradientsContract } from "@volary/core/model/gradients.contract";
import { layersContract } from "@volary/core/model/layers.contract";
import { trainingModelContract } from "@volary/core/model/training-model.contract";
import { describe } from "vitest";
import { openDevice } from "./devices.ts";

const absent = process.env["VOLARY_ABSENT"]?.split(",") ?? [];

describe.skipIf(absent.includes("tensorflow"))("on TensorFlow's library [needs tensorflow]", () => {
  layersContract(() => openDevice("tensorflow"));
  gradientsContract(() => openDevice("tensorflow"));
  trainingModelContract(() => openDevice("tensorflow"));
});
