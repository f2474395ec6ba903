/** The demo's net on some of its flights, in steps of few samples: what its dense variables cost does not depend on them. */
import type { JobDefinition } from "@volary/core";
import { file } from "@volary/core/data";
import { writeFlights } from "../parity/flights.ts";
import { demoJob } from "../traffic/demo-job.ts";

const BATCH = 256;

/** One epoch, without held-out rows; its rows learn by SGD. */
export async function smallDemo(folder: string, { steps }: { steps: number }): Promise<JobDefinition> {
  const flights = await writeFlights(folder, { steps, batchSize: BATCH });
  const demo = await demoJob({ steps, wire: "float32" });
  return { ...demo, data: { ...demo.data, files: [file(flights)] }, fit: { ...demo.fit, batchSize: BATCH } };
}
