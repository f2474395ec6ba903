/**
 * The job of the demo, cut to some steps, without held-out rows: what is counted is training. Its rows learn by SGD
 * here: that is linear, so a gradient pushed for each occurrence of a key means the same as their sum pushed once. With
 * an adaptive optimizer it does not, and the careless worker diverges. What travels is the same with any.
 */
import path from "node:path";
import { sgd } from "@volary/core";
import { loadJobFile } from "volary";

export const DEMO_FOLDER = path.resolve(import.meta.dirname, "../../../examples/flights");

const ROW_RATE = 1;

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
  const compile = { ...job.compile, sparseOptimizer: sgd({ learningRate: ROW_RATE }) };
  return { ...job, data, compile, fit: { ...job.fit, stepsMax: steps, wire: { rows: wire, gradients: wire } } };
}
