/**
 * @file Loads a library and computes with it: a program, which `check-library.ts` starts with the library's kind and its
 * folder. Says on stdout what it loaded, or on stderr why it cannot be used.
 */
import { argv, exit, stderr, stdout } from "node:process";
import * as tf from "@tensorflow/tfjs";
import { loadLibrary } from "../library/load-library.ts";
import type { LibraryKind } from "../library/library-folder.ts";

/** A product and a gradient whose values are small whole numbers: every device has them to the bit. */
async function computesRight(): Promise<boolean> {
  if (!(await tf.setBackend("tensorflow"))) return false;
  const [a, b] = [tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])];
  const product = await tf.matMul(a, b).data();
  const gradient = await tf
    .grad((x) => tf.sum(tf.square(tf.matMul(x as tf.Tensor2D, b))))(a)
    .data();
  return product.join() === "19,22,43,50" && gradient.join() === "454,618,1030,1402";
}

try {
  const [kind, folder] = argv.slice(2) as [LibraryKind, string];
  const loaded = loadLibrary(kind, folder);
  if (!(await computesRight())) throw new Error("it loads, but computes wrong numbers");
  stdout.write(JSON.stringify(loaded), () => exit());
} catch (error) {
  stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`, () => exit(1));
}
