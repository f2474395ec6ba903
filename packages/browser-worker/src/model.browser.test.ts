/** A job's model keeps its contract on the backends of a browser. */
import { trainingModelContract } from "@volary/core/model/training-model.contract";
import { describe } from "vitest";
import { openDevice, type DeviceName } from "./device.ts";

describe.each<DeviceName>(["webgl", "wasm"])("on %s", (name) => {
  trainingModelContract(() => openDevice({ wanted: name }));
});
