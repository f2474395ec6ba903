/** What `--device tensorflow` and `--device cuda` say where the library is absent, cut short, or none at all. */
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openDevice } from "../devices.ts";
import { noteFiles } from "./library-files.ts";
import { libraryFolder } from "./library-folder.ts";
import { loadLibrary, missingLibrary } from "./load-library.ts";

const BINDING = path.join("binding", "tfjs_binding.node");

describe.runIf(process.platform === "linux" && process.arch === "x64")("TensorFlow's library", () => {
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(path.join(tmpdir(), "volary-devices-"));
    vi.stubEnv("VOLARY_DEVICES", cache);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(cache, { recursive: true });
  });

  /** @returns its folder */
  async function installedWith(binding: string): Promise<string> {
    const folder = libraryFolder("cpu");
    await mkdir(path.join(folder, "binding"), { recursive: true });
    await writeFile(path.join(folder, BINDING), binding);
    noteFiles(folder);
    return folder;
  }

  test("that is not installed is missing, with the command that brings it", () => {
    const findNothing = (name: string) => {
      throw new Error(`Cannot find module '${name}'`);
    };
    expect(missingLibrary("gpu", findNothing)).toBe(
      "TensorFlow's library is not installed; `volary device install tensorflow --gpu` brings it",
    );
    expect(missingLibrary("cpu", findNothing)).toMatch(/; `volary device install tensorflow` brings it$/);
  });

  test("may be upstream's package", () => {
    expect(missingLibrary("cpu", (name) => expect(name).toBe("@tensorflow/tfjs-node"))).toBeUndefined();
  });

  test("that was cut short is not loaded, and the file is named", async () => {
    const folder = await installedWith("a binding");
    expect(missingLibrary("cpu")).toBeUndefined();
    await truncate(path.join(folder, BINDING), 4);
    await expect(openDevice("tensorflow")).rejects.toMatchObject({
      exitCode: 2,
      message:
        `device tensorflow does not work here: TensorFlow's library in ${folder} does not load ` +
        `(${BINDING} has 4 of 9 bytes); \`volary device install tensorflow\` puts it right`,
    });
  });

  test("that is another file is refused in the loader's words, in one line", async () => {
    const folder = await installedWith("no library\n".repeat(1000));
    await expect(openDevice("tensorflow")).rejects.toThrow(
      /^device tensorflow does not work here: .+ does not load \(.*invalid ELF header\); `volary device install .+$/,
    );
    expect(() => loadLibrary("cpu", folder)).toThrow("invalid ELF header");
  });
});
