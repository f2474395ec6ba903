/**
 * Where TensorFlow's library and the binding to it lie: a folder of the user's, which `volary device install` makes in
 * one piece, so that a folder that is there is whole.
 *
 * ```
 * site/tensorflow, site/nvidia   libraries of the wheels, placed as Python would: they find each other so
 * binding/tfjs_binding.node      tfjs's binding, which finds the library by its own place
 * tfjs-node                      the JavaScript of tfjs's backend
 * files.json                     how long each native file is
 * ```
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { cacheFolder } from "./cache-folder.ts";

/** Which wheel the library is from: "gpu" computes with CUDA, and needs what NVIDIA's wheels bring. */
export type LibraryKind = "cpu" | "gpu";

/** The release whose C functions the binding was tried with; its wheels are on PyPI. */
export const TENSORFLOW_RELEASE = "2.21.0";

/** As TensorFlow.js itself. */
export const TFJS_NODE_RELEASE = "4.22.0";

/** What installs a library, for messages. */
export const INSTALL_COMMAND: Record<LibraryKind, string> = {
  cpu: "volary device install tensorflow",
  gpu: "volary device install tensorflow --gpu",
};

/** Of another release another folder: a new version of Volary never loads an old library. */
export function libraryFolder(kind: LibraryKind, cache = cacheFolder()): string {
  return path.join(cache, "tensorflow", `${TENSORFLOW_RELEASE}-${kind}`);
}

export const isInstalled = (kind: LibraryKind): boolean => existsSync(libraryFolder(kind));
