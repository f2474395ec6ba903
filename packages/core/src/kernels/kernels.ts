/**
 * The kernels: loops over rows and floats in WebAssembly with SIMD, compiled from `./assembly` by
 * `scripts/build-kernels.mjs`. Beside each stands a plain TypeScript oracle that its tests compare it with.
 *
 * All addresses are bytes from the start of the memory the kernels were opened on, and counts are u32. Kernels
 * allocate nothing, keep no state of their own and check nothing: who calls them does.
 */
import { KERNELS_BASE64 } from "./kernels.wasm.ts";

export interface Kernels {
  /** Are `n` floats from `values` on neither NaN nor infinite? 1 or 0. */
  allFinite(values: number, n: number): number;
}

let compiled: WebAssembly.Module | undefined;

/** Instantiates the kernels on a memory. */
export function openKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(KERNELS_BASE64), (char) => char.charCodeAt(0)));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels;
}
