/** The promises that every simulated run must have kept. Each fault found is one sentence. */
import type { JobManifest } from "@volary/core/job";
import { stepPlan } from "@volary/core/training";
import { replay } from "./serial-oracle.ts";
import type { FinishedJob } from "./simulated-cluster.ts";
import { toyDataset } from "./toy-job.ts";

export async function checkRun({
  manifest,
  finished,
}: {
  manifest: JobManifest;
  finished: FinishedJob;
}): Promise<string[]> {
  const faults: string[] = [];
  const { status, commits, tables, dense } = finished;
  if (status.phase !== "done") return [`the job is ${status.phase}: ${status.message ?? "no reason given"}`];
  const { steps } = stepPlan({ manifest, trainRows: toyDataset().trainRows });
  if (commits.length !== steps || commits.some(({ step }, i) => step !== i + 1)) {
    faults.push(`${commits.length} steps were committed, the plan has ${steps}`);
  }
  if (commits.some(({ attempt }, i) => i > 0 && attempt < commits[i - 1]!.attempt))
    faults.push("attempts go backwards");
  const oracle = await replay({ manifest, ...finished });
  oracle.visits.forEach((visits, epoch) => {
    const odd = visits.findIndex((n) => n !== 1);
    if (odd >= 0) faults.push(`row ${odd} was in ${visits[odd]} committed steps of epoch ${epoch}`);
  });
  for (const [name, rows] of oracle.tables) {
    const found = tables.get(name)!;
    const dim = manifest.tables.find((t) => t.name === name)!.dim;
    if (found.keys.length !== rows.size)
      faults.push(`table ${name} has ${found.keys.length} rows, the oracle ${rows.size}`);
    for (const [i, key] of found.keys.entries()) {
      const mine = found.values.subarray(i * dim, (i + 1) * dim);
      const expected = rows.get(key);
      if (expected && sameBits(mine, expected)) continue;
      faults.push(
        `row ${key} of table ${name} is [${mine.join(", ")}], the oracle has ${expected ? `[${expected.join(", ")}]` : "none"}`,
      );
      break;
    }
  }
  if (!sameBits(dense, oracle.dense))
    faults.push(`dense weights are [${dense.join(", ")}], the oracle has [${oracle.dense.join(", ")}]`);
  if (status.evaluated !== status.testRows)
    faults.push(`${status.evaluated} of ${status.testRows} test rows were evaluated`);
  return faults;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map((f) => new Uint32Array(f.buffer, f.byteOffset, f.length)) as [Uint32Array, Uint32Array];
  return x.length === y.length && x.every((bits, i) => bits === y[i]);
}
