/** The pages as they are served: built from the sources, into a folder of the caller's. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { env, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** @throws {Error} what Vite says of sources that it cannot bundle */
export async function buildPages(outDir: string): Promise<void> {
  const vite = join(dirname(createRequire(import.meta.url).resolve("vite/package.json")), "bin/vite.js");
  // Set by the test runner, it would make a development build.
  const { NODE_ENV: _, ...rest } = env;
  await promisify(execFile)(execPath, [vite, "build", "--outDir", outDir, "--logLevel", "warn"], {
    cwd: PACKAGE,
    env: rest,
  });
}
