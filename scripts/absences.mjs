/**
 * @file What a machine may lack without failing the tests, and whether this one does.
 *
 * A test that needs one of these says so in its name, "[needs redis]" or "[needs data set: criteo-tiny]", and may
 * skip where it is absent. Tests learn of absences from the environment variable VOLARY_ABSENT.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";

/** @param {{ chromium: string | undefined, data: string | undefined }} found */
export function absences({ chromium, data }) {
  const absent = {
    "data set": data === undefined,
    redis: onPath("redis-server") === undefined,
    mpi: onPath("mpirun") === undefined || onPath("mpicc") === undefined,
    gpu: spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" }).stdout?.startsWith("GPU ") !== true,
    // A GPU's own driver may be there or not; one that somebody named is.
    webgpu: !process.env["VK_DRIVER_FILES"] && !process.env["VK_ICD_FILENAMES"],
    browser: chromium === undefined,
    etcd: onPath("etcd") === undefined,
    tensorflow: !hasTensorFlow(),
  };
  return Object.entries(absent).flatMap(([name, isAbsent]) => (isAbsent ? [name] : []));
}

/**
 * Whether a skipped test's name excuses it.
 *
 * @param {string} testName
 * @param {{ absent: readonly string[], data: string | undefined }} machine
 */
export function maySkip(testName, { absent, data }) {
  return [...testName.matchAll(/\[needs ([^\]:]+)(?::\s*([^\]]+))?\]/gi)].some(([, need = "", folder]) => {
    const name = need.trim().toLowerCase();
    if (name === "data set" && folder !== undefined && data !== undefined)
      return !existsSync(join(data, folder.trim()));
    return absent.includes(name);
  });
}

/**
 * The folder of the data sets: $VOLARY_DATA, or shared/data beside the clone.
 *
 * @param {string} root
 */
export function dataFolder(root) {
  const folder = resolve(root, process.env["VOLARY_DATA"] ?? "../shared/data");
  return existsSync(folder) ? folder : undefined;
}

/** Whether `volary device install tensorflow` was run here: where packages/node-worker/src/device/library/cache-folder.ts says. */
function hasTensorFlow() {
  const { VOLARY_DEVICES: own, XDG_CACHE_HOME: xdg } = process.env;
  const folder = join(own || join(xdg ?? join(homedir(), ".cache"), "volary"), "tensorflow");
  return existsSync(folder) && readdirSync(folder).some((name) => name.endsWith("-cpu"));
}

/** @param {string} name */
export function onPath(name) {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
