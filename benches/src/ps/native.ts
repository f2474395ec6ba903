/** The bench's C programs, compiled where there is a compiler; what a machine lacks is named, not guessed. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCES = path.join(import.meta.dirname, "native");
/** No contraction to fused operations: the arithmetic must have the bits that JavaScript gets. */
const FLAGS = ["-std=gnu11", "-O3", "-march=native", "-ffp-contract=off"];

export type Absence = "gcc" | "hiredis" | "redis-server";

export interface NativePrograms {
  /** Paths; undefined where something is absent. */
  floor: { server: string; client: string } | undefined;
  redis: { server: string; client: string } | undefined;
  absent: readonly Absence[];
}

/** @param folder where the programs go */
export async function nativePrograms(folder: string): Promise<NativePrograms> {
  const absent: Absence[] = [];
  if (!(await runs("gcc", ["--version"]))) absent.push("gcc");
  if (!(await runs("redis-server", ["--version"]))) absent.push("redis-server");
  if (absent.includes("gcc")) return { floor: undefined, redis: undefined, absent };
  const compile = async (name: string, libraries: readonly string[]): Promise<string> => {
    const program = path.join(folder, name);
    await run("gcc", [...FLAGS, path.join(SOURCES, `${name}.c`), "-o", program, ...libraries]);
    return program;
  };
  const floor = { server: await compile("floor-server", ["-lm"]), client: await compile("floor-client", []) };
  const client = await compile("redis-client", ["-lhiredis"]).catch((error: unknown) => {
    if (!/hiredis/.test(String(error))) throw error;
    absent.push("hiredis");
    return undefined;
  });
  const redis =
    client === undefined || absent.includes("redis-server") ? undefined : { server: "redis-server", client };
  return { floor, redis, absent };
}

async function runs(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}
