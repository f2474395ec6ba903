/** A bench as its user runs it, for tests: in a process of its own, from source, at a size that takes seconds. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";

export interface BenchRun {
  code: number | null;
  stderr: string;
  /** Its last line on stdout; null where it printed none. */
  report: unknown;
}

/** @param name of a file of benches/src */
export async function runBench(name: string, ...args: string[]): Promise<BenchRun> {
  const bench = path.join(import.meta.dirname, "..", `${name}.ts`);
  const command = ["--conditions=volary-source", bench, "--json", ...args];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  return { code, stderr, report: JSON.parse(stdout.trim().split("\n").at(-1) || "null") as unknown };
}
