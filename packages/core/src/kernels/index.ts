export { openKernels, type Kernels } from "./kernels.ts";
