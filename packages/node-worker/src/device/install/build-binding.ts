/**
 * tfjs's binding, built from the source in its npm package against the library of a TensorFlow wheel.
 *
 * Upstream's own build downloads libtensorflow 2.9.1, which knows CUDA 11.2 and nothing newer (tensorflow/tfjs issues
 * 8362, 8505). The source uses some sixty functions of TensorFlow's C interface, which are stable, and Node's own stable
 * interface (Node-API 8): so one compiler call does, without node-gyp and the headers of the Node that runs, and what it
 * gives serves every Node from 20.
 */
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { TFJS_NODE_RELEASE } from "../library/library-folder.ts";
import { runTool } from "./run-tool.ts";

/** Of npm: the binding's source with tfjs's backend, Node-API's headers, and what the backend imports. */
const TFJS_NODE = `@tensorflow/tfjs-node@${TFJS_NODE_RELEASE}`;
const NODE_API_HEADERS = "node-api-headers@1.9.0";
const PROTOBUF = "google-protobuf@3.21.4";

const FLAGS = ["-shared", "-fPIC", "-O2", "-std=c++17", "-DNAPI_VERSION=8", "-DBUILDING_NODE_EXTENSION"];
/** The binding finds the libraries from its own place: the folder may be moved, and no LD_LIBRARY_PATH is needed. */
const LINKED = ["-ltensorflow", "-ltensorflow_framework", "-Wl,-rpath,$ORIGIN/../site/tensorflow"];

/** Filled by the process that loads the backend, with its own copy: see load-library.ts. */
export const HOLLOW_PACKAGES = ["@tensorflow/tfjs", "@tensorflow/tfjs-core"] as const;

export interface BindingRequest {
  /** The library's folder; its `site` is there. */
  folder: string;
  scratch: string;
  log: (line: string) => void;
}

/**
 * Makes `binding` and `tfjs-node` in the folder, and deletes the headers in `site`.
 *
 * @throws {Error} no npm, no network, no compiler, or one that is too old: what to do
 */
export async function buildBinding({ folder, scratch, log }: BindingRequest): Promise<void> {
  log(`downloading the source of tfjs's binding with npm (${TFJS_NODE})`);
  const source = await unpackPackage(TFJS_NODE, path.join(scratch, "tfjs-node"));
  const headers = await unpackPackage(NODE_API_HEADERS, path.join(scratch, "node-api-headers"));
  log("compiling the binding (some ten seconds)");
  await compile({ folder, source, headers });

  const tfjsNode = path.join(folder, "tfjs-node");
  await cp(path.join(source, "dist"), path.join(tfjsNode, "dist"), { recursive: true });
  await cp(path.join(source, "package.json"), path.join(tfjsNode, "package.json"));
  const modules = path.join(tfjsNode, "node_modules");
  await unpackPackage(PROTOBUF, path.join(modules, "google-protobuf"));
  for (const name of HOLLOW_PACKAGES) {
    await mkdir(path.join(modules, name), { recursive: true });
    await writeFile(path.join(modules, name, "index.js"), "module.exports = {};\n");
  }
}

/** Where the library is, and the unpacked packages. */
interface Parts {
  folder: string;
  source: string;
  headers: string;
}

async function compile({ folder, source, headers }: Parts): Promise<void> {
  const library = path.join(folder, "site", "tensorflow");
  const include = path.join(library, "include");
  // The linker's names of the libraries; the loader goes by the names inside them.
  for (const [name, file] of [
    ["libtensorflow.so", "libtensorflow_cc.so.2"],
    ["libtensorflow_framework.so", "libtensorflow_framework.so.2"],
  ] as const) {
    await symlink(file, path.join(library, name));
  }
  const binding = path.join(folder, "binding");
  await mkdir(binding, { recursive: true });
  // As in "ccache g++".
  const [program = "c++", ...ownFlags] = (process.env["CXX"] ?? "c++").split(" ");
  await runTool({
    purpose: "compile tfjs's binding",
    program,
    args: [
      ...ownFlags,
      ...FLAGS,
      `-I${path.join(headers, "include")}`,
      `-I${include}`,
      path.join(source, "binding", "tfjs_backend.cc"),
      path.join(source, "binding", "tfjs_binding.cc"),
      `-L${library}`,
      ...LINKED,
      "-o",
      path.join(binding, "tfjs_binding.node"),
    ],
  });
  await rm(include, { recursive: true });
}

/** @returns the folder, with the package's files in it */
async function unpackPackage(name: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const purpose = `download ${name}`;
  const said = await runTool({
    purpose,
    program: "npm",
    args: ["pack", name, "--pack-destination", folder, "--loglevel", "error", "--fetch-retries", "1"],
  });
  const tarball = path.join(folder, said.trim().split("\n").at(-1)!);
  await runTool({
    purpose: `unpack ${name}`,
    program: "tar",
    args: ["-xzf", tarball, "-C", folder, "--strip-components=1", "--no-same-owner"],
  });
  await rm(tarball);
  return folder;
}
