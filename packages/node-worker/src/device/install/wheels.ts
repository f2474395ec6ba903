/**
 * TensorFlow's library out of its Python wheels, which are zip files. The library in the wheels of a release is the same
 * for every Python, and no Python is needed to use it: the wheels are those for one Python, whichever runs pip.
 */
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { TENSORFLOW_RELEASE, type LibraryKind } from "../library/library-folder.ts";
import { runTool } from "./run-tool.ts";

/** On PyPI; the CPU's is a third as large. */
const PACKAGES: Record<LibraryKind, string> = { cpu: "tensorflow-cpu", gpu: "tensorflow" };

/** Of the wheel alone the libraries and the headers of their C functions; of NVIDIA's all but headers. */
const WANTED: Record<"tensorflow" | "nvidia", string> = {
  tensorflow:
    String.raw`tensorflow/libtensorflow_(cc|framework)\.so\.2|` +
    String.raw`tensorflow/include/(tensorflow/c|tensorflow/core/platform|tsl/platform|xla/tsl/c)/.*\.h`,
  nvidia: String.raw`nvidia/(?!.*/include/).*`,
};

/** Unpacks the members of a zip file whose whole name a pattern matches, programs as programs. */
const UNPACK = [
  "import os, re, sys, zipfile",
  "wheel, pattern, folder = sys.argv[1:]",
  "with zipfile.ZipFile(wheel) as files:",
  "    for file in files.infolist():",
  "        if re.fullmatch(pattern, file.filename) and not file.is_dir():",
  "            path = files.extract(file, folder)",
  "            if file.external_attr >> 16 & 0o100: os.chmod(path, 0o755)",
].join("\n");

/** Prints what a wheel needs for the extra "and-cuda", a line each. */
const CUDA_NEEDS = [
  "import sys, zipfile",
  "with zipfile.ZipFile(sys.argv[1]) as files:",
  "    name = next(n for n in files.namelist() if n.endswith('.dist-info/METADATA'))",
  "    for line in files.read(name).decode().splitlines():",
  "        if line.startswith('Requires-Dist:') and 'and-cuda' in line:",
  "            print(line.removeprefix('Requires-Dist:').split(';')[0].strip())",
].join("\n");

export interface WheelsRequest {
  kind: LibraryKind;
  /** Where the libraries go, as Python would place them. */
  site: string;
  /** Takes wheels for as long as they are unpacked. */
  scratch: string;
  log: (line: string) => void;
}

/**
 * Downloads the wheels with pip and unpacks their libraries; the wheels are deleted.
 *
 * @throws {Error} no Python, no pip, no network, no such release, a full disk: what to do
 */
export async function unpackWheels({ kind, site, scratch, log }: WheelsRequest): Promise<void> {
  const release = `TensorFlow ${TENSORFLOW_RELEASE}`;
  log(`downloading ${release} with pip (${kind === "cpu" ? "270 MB" : "570 MB"})`);
  const [wheel] = await download([`${PACKAGES[kind]}==${TENSORFLOW_RELEASE}`], release, scratch);
  if (kind === "gpu") {
    const needs = await python(["-c", CUDA_NEEDS, wheel!], `read what ${release} needs`);
    const packages = needs.split("\n").filter((line) => line !== "");
    log(`downloading ${packages.length} CUDA libraries with pip (about 2.5 GB)`);
    for (const nvidia of await download(packages, "NVIDIA's libraries", path.join(scratch, "nvidia"))) {
      await unpack(nvidia, WANTED.nvidia, site);
    }
  }
  log("unpacking its library");
  await unpack(wheel!, WANTED.tensorflow, site);
}

async function unpack(wheel: string, pattern: string, site: string): Promise<void> {
  await python(["-c", UNPACK, wheel, pattern, site], `unpack ${path.basename(wheel)}`);
  await rm(wheel);
}

/** @returns the wheels' files */
async function download(packages: readonly string[], what: string, folder: string): Promise<string[]> {
  // Dependencies are left out: they are Python's own.
  const args = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--retries", "2"];
  const quiet = ["--quiet", "--disable-pip-version-check", "--dest", folder];
  // pip downloads to the folder for temporary files first, which may be small.
  await python([...args, ...quiet, ...forOnePython(), ...packages], `download ${what}`, {
    TMPDIR: path.dirname(folder),
  });
  return (await readdir(folder)).filter((name) => name.endsWith(".whl")).map((name) => path.join(folder, name));
}

const ONE_PYTHON = "--python-version 3.12 --implementation cp --abi cp312 --abi abi3 --abi none".split(" ");

/** pip takes a platform by its exact name alone: all that this machine's C library may load. */
function forOnePython(): string[] {
  const minor = glibcMinor() ?? OLDEST_GLIBC;
  const newer = Array.from({ length: Math.max(0, minor - 4) }, (_, i) => `manylinux_2_${minor - i}_x86_64`);
  const platforms = [...newer, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"];
  return [...ONE_PYTHON, ...platforms.flatMap((platform) => ["--platform", platform])];
}

/** The wheels' C library is 2.27. */
export const OLDEST_GLIBC = 27;

/** n of glibc 2.n; undefined where the C library is another, as musl. */
export function glibcMinor(): number | undefined {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const [, minor] = /^2\.(\d+)/.exec(header.glibcVersionRuntime ?? "") ?? [];
  return minor === undefined ? undefined : Number(minor);
}

const python = (args: readonly string[], purpose: string, env: Record<string, string> = {}): Promise<string> =>
  runTool({ purpose, program: "python3", args, env });
