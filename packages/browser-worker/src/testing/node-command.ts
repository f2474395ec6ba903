/** A command of the browser tests: Node takes the step, in a process of its own, and what it prints comes back. */
import { execFile } from "node:child_process";
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const STEP = fileURLToPath(new URL("node-step.ts", import.meta.url));
const OUTPUT_BYTES_MAX = 64 << 20;

/** @returns a `NodeStep` as JSON, with arrays of numbers for its Float32Arrays */
export async function nodeStep(): Promise<string> {
  const { stdout } = await promisify(execFile)(execPath, ["--conditions=volary-source", STEP], {
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return stdout;
}
