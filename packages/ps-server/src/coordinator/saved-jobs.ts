/** What is kept of jobs, so that a coordinator that starts again knows whose rows are on the PS nodes. */
import { jobManifestSchema } from "@volary/core/job";
import { z } from "zod";
import { Job } from "./job.ts";

const OPEN = "open/";
const STATE = "job/";

const savedJobSchema = z.object({
  phase: z.string(),
  term: z.number(),
  terms: z.array(z.object({ term: z.number(), members: z.array(z.number()), shares: z.array(z.number()).optional() })),
  message: z.string().optional(),
  metrics: z.record(z.string(), z.number()).nullable(),
});

/** The record of a job whose tables are open, from which it is opened again. */
export function openKey(job: number): string {
  return `${OPEN}${job}`;
}

/** The record of how far a job is. */
export function stateKey(job: number): string {
  return `${STATE}${job}`;
}

export function stateOf({ manifest, phase, term, terms, message, metrics, commits }: Job): unknown {
  return { name: manifest.name, phase, term, terms, message, metrics, step: commits.length };
}

export interface SavedJobs {
  /** Jobs whose tables are open. One that was being trained has failed: its workers are not known any more. */
  open: Job[];
  /** Numbers of all others. */
  closed: number[];
}

/** @throws {Error} a record that cannot be read */
export function savedJobs(records: ReadonlyMap<string, unknown>): SavedJobs {
  const open: Job[] = [];
  const closed: number[] = [];
  for (const [key, value] of records) {
    if (!key.startsWith(STATE)) continue;
    const number = Number(key.slice(STATE.length));
    const manifest = records.get(openKey(number));
    if (manifest === undefined) closed.push(number);
    else open.push(restored(number, { manifest, state: value }));
  }
  return { open, closed };
}

function restored(number: number, { manifest, state }: { manifest: unknown; state: unknown }): Job {
  const parsed = z.object({ manifest: jobManifestSchema, state: savedJobSchema }).safeParse({ manifest, state });
  if (!parsed.success) {
    throw new Error(
      `the saved job ${number} cannot be read: ${parsed.error.issues[0]!.message}; begin with an empty store`,
    );
  }
  const job = new Job({ job: number, manifest: parsed.data.manifest, owner: undefined });
  const { phase, message, term, terms, metrics } = parsed.data.state;
  job.term = term;
  job.terms.push(...terms);
  job.metrics = metrics;
  job.message = message;
  if (phase === "preparing" || phase === "done" || phase === "failed" || phase === "stopped") job.phase = phase;
  else {
    job.phase = "failed";
    job.message = "the coordinator was restarted while the job ran; its rows stay until it is closed";
  }
  return job;
}
