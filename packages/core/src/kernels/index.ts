export { int8RowBytes, KernelMemory } from "./kernel-memory.ts";
export { openKernels, type Kernels } from "./kernels.ts";
