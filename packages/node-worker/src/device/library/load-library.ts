/**
 * TensorFlow's library as a backend of tfjs: the one that `volary device install` built, or else the npm package of
 * upstream, where its download worked.
 */
import { createRequire } from "node:module";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import * as core from "@tensorflow/tfjs-core";
import { checkFiles } from "./library-files.ts";
import { quickenKernels } from "./quicker-kernels.ts";
import { INSTALL_COMMAND, isInstalled, libraryFolder, type LibraryKind } from "./library-folder.ts";

export interface LoadedLibrary {
  /** Of TensorFlow. */
  version: string;
  /** It computes on a GPU; without one the same library computes on the CPU. */
  onGpu: boolean;
}

const BACKEND = "tensorflow";

const UPSTREAM = { cpu: "@tensorflow/tfjs-node", gpu: "@tensorflow/tfjs-node-gpu" } as const;

const require = createRequire(import.meta.url);

/**
 * That no library is installed for it, and the command that mends it; undefined where one is. Nothing is loaded.
 *
 * @param find throws where there is no package of that name
 */
export function missingLibrary(
  kind: LibraryKind,
  find: (name: string) => unknown = require.resolve,
): string | undefined {
  if (isInstalled(kind)) return undefined;
  try {
    find(UPSTREAM[kind]);
    return undefined;
  } catch {
    return `TensorFlow's library is not installed; ${remedyFor(kind)}`;
  }
}

/**
 * Registers the backend; it is not set.
 *
 * @throws {Error} not installed, or it does not load: why, and the command that mends it
 */
export async function openLibrary(kind: LibraryKind): Promise<LoadedLibrary> {
  if (!isInstalled(kind)) return await loadUpstream(kind);
  try {
    return loadLibrary(kind, libraryFolder(kind));
  } catch (cause) {
    throw new Error(
      `TensorFlow's library in ${libraryFolder(kind)} does not load (${firstLine(cause)}); ` +
        `\`${INSTALL_COMMAND[kind]}\` puts it right`,
      { cause },
    );
  }
}

interface Binding {
  TF_Version: string;
  isUsingGpuDevice: () => boolean;
}

interface Loaded {
  binding: Binding;
  backend: (binding: Binding) => tf.KernelBackend;
}

/** By folder: a process keeps a library until it ends. */
const loaded = new Map<string, Loaded>();
let registered: string | undefined;

/**
 * Registers the backend with the library in a folder.
 *
 * @throws {Error} the loader's words: a library that is missing, cut short, or of another release
 */
export function loadLibrary(kind: LibraryKind, folder: string): LoadedLibrary {
  prepareProcess();
  const library = loaded.get(folder) ?? loadFolder(kind, folder);
  loaded.set(folder, library);
  const { binding, backend } = library;
  if (registered !== folder) {
    if (tf.findBackendFactory(BACKEND) !== null) tf.removeBackend(BACKEND);
    tf.registerBackend(BACKEND, () => backend(binding));
    registered = folder;
  }
  return { version: binding.TF_Version, onGpu: binding.isUsingGpuDevice() };
}

function loadFolder(kind: LibraryKind, folder: string): Loaded {
  checkFiles(folder);
  const binding = require(path.join(folder, "binding", "tfjs_binding.node")) as Binding;
  return { binding, backend: loadBackend(kind, folder) };
}

/**
 * tfjs's backend for the library, with its kernels. It lies in a folder for caches, where Node would find no tfjs, or
 * another copy: so it finds hollow packages there, which are filled with this process's tfjs first.
 */
function loadBackend(kind: LibraryKind, folder: string): (binding: Binding) => tf.KernelBackend {
  const tfjsNode = path.join(folder, "tfjs-node");
  for (const [name, own] of [
    ["@tensorflow/tfjs", tf],
    ["@tensorflow/tfjs-core", core],
  ] as const) {
    Object.assign(require(path.join(tfjsNode, "node_modules", name)) as object, own);
  }
  require(path.join(tfjsNode, "dist", "register_all_kernels.js"));
  quickenKernels();
  const { NodeJSKernelBackend } = require(path.join(tfjsNode, "dist", "nodejs_kernel_backend.js")) as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => tf.KernelBackend;
  };
  return (binding) => new NodeJSKernelBackend(binding, UPSTREAM[kind]);
}

async function loadUpstream(kind: LibraryKind): Promise<LoadedLibrary> {
  const missing = missingLibrary(kind);
  if (missing !== undefined) throw new Error(missing);
  prepareProcess();
  try {
    await import(UPSTREAM[kind]);
  } catch (cause) {
    throw new Error(`${UPSTREAM[kind]} does not load (${firstLine(cause)}); ${remedyFor(kind)}`, { cause });
  }
  quickenKernels();
  const backend = tf.findBackend(BACKEND) as tf.KernelBackend & { isUsingGpuDevice: boolean; binding: Binding };
  return { version: backend.binding.TF_Version, onGpu: backend.isUsingGpuDevice };
}

const remedyFor = (kind: LibraryKind): string =>
  process.platform === "linux" && process.arch === "x64"
    ? `\`${INSTALL_COMMAND[kind]}\` brings it`
    : `\`npm install ${UPSTREAM[kind]}\` brings it where its library can be downloaded`;

/** Before anything of TensorFlow is loaded, which reads its environment then. */
function prepareProcess(): void {
  keepNodeUtil();
  // Other processes may share the GPU: memory is taken as it is needed, not all of it.
  process.env["TF_FORCE_GPU_ALLOW_GROWTH"] ??= "true";
  // Errors alone: at the start it tells of instructions it could use, and of each GPU.
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "2";
}

/**
 * tfjs-node 4.22 calls two functions that Node 23 removed, and that warn before (tensorflow/tfjs issue 8609). Delete this
 * once a release of tfjs-node does without.
 */
function keepNodeUtil(): void {
  const util = require("node:util") as Record<string, unknown>;
  util["isNullOrUndefined"] = (value: unknown) => value === null || value === undefined;
  util["isArray"] = Array.isArray;
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!;
}
