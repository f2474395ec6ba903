/** The kernels that all rounds share: they hold nothing between two calls. */
import { KernelMemory } from "../kernels/index.ts";

export const KERNELS = new KernelMemory();
