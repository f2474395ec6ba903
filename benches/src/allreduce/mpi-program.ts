/** The bench's program for Open MPI, compiled where there is one; what a machine lacks is named, not guessed. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * @param folder where the program goes
 * @returns its path, or what is absent
 */
export async function mpiProgram(folder: string): Promise<{ program: string } | { absent: readonly string[] }> {
  const needed = ["mpirun", "mpicc"];
  const found = await Promise.all(needed.map((name) => runs(name)));
  const absent = needed.filter((_, i) => !found[i]);
  if (absent.length > 0) return { absent };
  const program = path.join(folder, "mpi-ranks");
  await run("mpicc", ["-std=gnu11", "-O3", path.join(import.meta.dirname, "native/mpi-ranks.c"), "-o", program]);
  return { program };
}

async function runs(program: string): Promise<boolean> {
  return run(program, ["--version"]).then(
    () => true,
    () => false,
  );
}
