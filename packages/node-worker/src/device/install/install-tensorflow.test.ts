import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { installTensorFlow, unsupported } from "./install-tensorflow.ts";
import { libraryFolder } from "../library/library-folder.ts";

test.each([
  [{ platform: "darwin", arch: "arm64", glibcMinor: undefined }, "this is darwin arm64; --device webgpu"],
  [{ platform: "win32", arch: "x64", glibcMinor: undefined }, "this is win32 x64; --device webgpu"],
  [{ platform: "linux", arch: "arm64", glibcMinor: 36 }, "this is linux arm64"],
  [{ platform: "linux", arch: "x64", glibcMinor: undefined }, "glibc 2.27 or newer, and this machine has another C"],
  [{ platform: "linux", arch: "x64", glibcMinor: 17 }, "this machine has 2.17; --device webgpu"],
])("unsupported() says of %j why, and what to use", (machine, words) => {
  expect(unsupported(machine)).toContain(words);
});

test("unsupported() has nothing against Linux x64", () => {
  expect(unsupported({ platform: "linux", arch: "x64", glibcMinor: 27 })).toBeUndefined();
});

/** Programs that do as those they are named for, without a network: each test replaces one. */
const WORKING = {
  // Of a download the folder follows --dest; of a call to unpack it is the last argument.
  python3: `
if [ "$2" = pip ]; then
  while [ "$1" != --dest ]; do shift; done
  touch "$2/tensorflow.whl"
else
  for folder; do :; done
  mkdir -p "$folder/tensorflow/include"
fi`,
  npm: `touch "$4/package.tgz"; echo package.tgz`,
  tar: `mkdir -p "$4/dist"; echo '{}' > "$4/package.json"`,
  "c++": `for file; do :; done; echo no library > "$file"`,
};

describe.runIf(process.platform === "linux" && process.arch === "x64")("installTensorFlow()", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "volary-install-"));
    vi.stubEnv("VOLARY_DEVICES", path.join(folder, "cache"));
    vi.stubEnv("CXX", undefined);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });

  /** @param programs none of a name where it is undefined */
  async function failureWith(programs: Partial<Record<keyof typeof WORKING, string | undefined>>): Promise<string> {
    const bin = path.join(folder, "bin");
    await mkdir(bin);
    for (const [name, script] of Object.entries({ ...WORKING, ...programs })) {
      if (script === undefined) continue;
      await writeFile(path.join(bin, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
      await chmod(path.join(bin, name), 0o755);
    }
    vi.stubEnv("PATH", bin);
    return await installTensorFlow({ kind: "cpu", log: () => undefined }).then(
      () => "it was installed",
      (error: Error) => error.message,
    );
  }
  const inCache = () => readdir(path.dirname(libraryFolder("cpu")));

  test.each([
    [
      "no Python",
      { python3: undefined },
      "cannot download TensorFlow 2.21.0: there is no python3 on this machine; install Python 3 with pip",
    ],
    [
      "no pip",
      { python3: "echo '/usr/bin/python3: No module named pip' >&2; exit 1" },
      "cannot download TensorFlow 2.21.0: python3 ended with exit code 1 (/usr/bin/python3: No module named pip); install pip",
    ],
    [
      "no network",
      { npm: "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network getaddrinfo failed' >&2; exit 1" },
      "cannot download @tensorflow/tfjs-node@4.22.0: npm ended with exit code 1 (npm error network getaddrinfo failed); check the network",
    ],
    ["no npm", { npm: undefined }, "there is no npm on this machine; install npm, which comes with Node"],
    [
      "no compiler",
      { "c++": undefined },
      "cannot compile tfjs's binding: there is no c++ on this machine; install a C++ compiler",
    ],
    [
      "a compiler that fails",
      { "c++": "echo 'x.cc:3: error: no such type' >&2; exit 1" },
      "cannot compile tfjs's binding: c++ ended with exit code 1 (x.cc:3: error: no such type)",
    ],
    ["a library that does not load", {}, "the library was built, but cannot be used: "],
  ])("with %s names the step and the remedy, and leaves nothing", async (_, programs, words) => {
    expect(await failureWith(programs)).toContain(words);
    expect(await inCache()).toEqual([]);
  });

  test("keeps a library that does not compute until there is another, and removes what was abandoned", async () => {
    const broken = path.join(libraryFolder("cpu"), "broken");
    await mkdir(path.dirname(broken), { recursive: true });
    await writeFile(broken, "as it was");
    // No process has this number.
    await mkdir(`${libraryFolder("cpu")}.partial-99999999`);
    expect(await failureWith({ "c++": undefined })).toContain("there is no c++");
    expect(await readFile(broken, "utf8")).toBe("as it was");
    expect(await inCache()).toEqual([path.basename(libraryFolder("cpu"))]);
  });

  test("refuses a folder that it may not write to, naming the variable that gives another", async () => {
    await writeFile(path.join(folder, "cache"), "a file");
    expect(await failureWith({})).toMatch(/^cannot write to .+; name another folder in the variable VOLARY_DEVICES$/);
  });
});
