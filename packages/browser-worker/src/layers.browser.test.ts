/** Layers keep their contracts on the backends of a browser. */
import * as tf from "@tensorflow/tfjs-core";
import { gradientsContract } from "@volary/core/model/gradients.contract";
import { layersContract } from "@volary/core/model/layers.contract";
import { describe } from "vitest";
import type { DeviceName } from "./device/device.ts";
import { openDevice } from "./device/open-device.ts";

describe.each<DeviceName>(["webgl", "wasm"])("on %s", (name) => {
  const setUp = async () => {
    await openDevice({ wanted: name });
    // Tensors as small as a test's would be computed on the CPU.
    if (name === "webgl") tf.env().set("WEBGL_CPU_FORWARD", false);
  };
  layersContract(setUp);
  gradientsContract(setUp);
});
