/** A job's model keeps its contract on the backends of a browser. */
import { trainingModelContract } from "@volary/core/model/training-model.contract";
import { describe } from "vitest";
import type { DeviceName } from "./device/device.ts";
import { openDevice } from "./device/open-device.ts";

describe.each<DeviceName>(["webgl", "wasm"])("on %s", (name) => {
  trainingModelContract(() => openDevice({ wanted: name }));
});
