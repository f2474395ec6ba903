/** Layers on tfjs's wasm backend, which lacks kernels that tfjs's own gradients would need, and has some wrong. */
import { gradientsContract } from "@volary/core/model/gradients.contract";
import { layersContract } from "@volary/core/model/layers.contract";
import { openDevice } from "./devices.ts";

layersContract(() => openDevice("wasm"));
gradientsContract(() => openDevice("wasm"));
