/** tfjs's wasm backend keeps every promise of the training model, with the gradients that plain tfjs lacks there. */
import { trainingModelContract } from "@volary/core/model/training-model.contract";
import { openDevice } from "./devices.ts";

trainingModelContract(() => openDevice("wasm"));
