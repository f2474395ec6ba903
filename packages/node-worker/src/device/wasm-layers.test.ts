/** Volary's layers on tfjs's wasm backend, which lacks kernels that tfjs's own gradients would need. */
import { layersContract } from "@volary/core/model/layers.contract";
import { openDevice } from "./devices.ts";

layersContract(() => openDevice("wasm"));
