/** The job of the demo, cut to some steps, without held-out rows: what is counted is training. */
import path from "node:path";
import { loadJobFile } from "volary";

export const DEMO_FOLDER = path.resolve(import.meta.dirname, "../../../examples/flights");

/** What travels as what. */
export type WireDtype = "float32" | "bfloat16" | "int8";

export interface DemoOptions {
  steps: number;
  /** Of pulled rows and pushed gradients. */
  wire: WireDtype;
}

export async function demoJob({ steps, wire }: DemoOptions) {
  const job = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const { test: _, ...data } = job.data;
  return { ...job, data, fit: { ...job.fit, stepsMax: steps, wire: { rows: wire, gradients: wire } } };
}
