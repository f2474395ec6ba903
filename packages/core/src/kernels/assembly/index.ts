// The kernels, one file per noun. What is exported here is what `../kernels.ts` declares.
export * from "./checks";
