/** How far a job is, as the coordinator tells who asks or watches. */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { name, text, u32 } from "./fields.ts";

export const jobPhaseSchema = z.enum(["preparing", "waiting", "training", "evaluating", "done", "failed", "stopped"]);
export type JobPhase = z.infer<typeof jobPhaseSchema>;

const metricValues = z.record(z.string(), z.number());

/** A committed step: the mean training loss of its samples. */
const stepNewsSchema = z.strictObject({ step: u32, loss: z.number(), samples: u32 });
/** A committed step. */
export interface StepNews extends z.infer<typeof stepNewsSchema> {}

/** An epoch that has ended: its number from 0, its last step, and the exact mean training loss of its samples. */
const epochNewsSchema = z.strictObject({ epoch: u32, step: u32, loss: z.number(), samples: z.number() });
/** An epoch that has ended. */
export interface EpochNews extends z.infer<typeof epochNewsSchema> {}

/** Metrics of the held-out rows after a step, in the epoch of that step, from 0; "loss" is among them. */
const validationNewsSchema = z.strictObject({ step: u32, epoch: u32, metrics: metricValues });
/** An evaluation of the held-out rows. */
export interface ValidationNews extends z.infer<typeof validationNewsSchema> {}

/** Rows that were left out: how many are known of, and the first few, as "train.csv:1042: …". */
export const badRowsSchema = z.strictObject({
  count: z.number().int().nonnegative(),
  first: z.array(text).max(LIMITS.badRowsKept),
});
export interface BadRowsNews extends z.infer<typeof badRowsSchema> {}

export const jobStatusSchema = z.strictObject({
  job: u32,
  name,
  phase: jobPhaseSchema,
  message: text.optional(),
  step: u32,
  steps: u32,
  epochs: u32,
  /** The epoch under way, or the last one, from 0. */
  epoch: u32,
  samples: z.number().nonnegative(),
  /** Mean training loss per sample of the newest committed steps. */
  loss: z.number().nullable(),
  workers: z.number().int().nonnegative(),
  term: u32,
  /** Held-out rows of the evaluation under way, or of the newest one. */
  evaluated: z.number().nonnegative(),
  testRows: z.number().nonnegative(),
  /** Of the held-out rows, once the job is done. */
  metrics: metricValues.nullable(),
  /** The newest evaluation of the held-out rows. */
  validation: validationNewsSchema.nullable(),
  badRows: badRowsSchema,
  /** Of a job whose batches the coordinator gives out. */
  batches: z
    .strictObject({
      /** Whose gradients count, for good. */
      finished: u32,
      /** Too late for their step, and trained in a later one. */
      dropped: u32,
      /** Given to another worker as well, or again after their worker was lost. */
      repeated: u32,
      /** How many batches a worker was ahead of the slowest at most, when it began one. */
      stalenessMax: u32,
      /** Rounds of dense weights that were averaged. */
      rounds: u32,
      /** Rows that were used again without a pull, of those that batches needed. */
      cachedRows: z.number().nonnegative(),
      /** Rows that batches needed, where workers keep some. */
      rows: z.number().nonnegative(),
    })
    .optional(),
  /** Without the pauses for validation. */
  trainSeconds: z.number().nonnegative(),
  /** What a watcher was not told yet; a status that was asked for has none of it. */
  news: z
    .strictObject({
      steps: z.array(stepNewsSchema).max(LIMITS.stepNewsMax),
      epochs: z.array(epochNewsSchema).max(LIMITS.stepNewsMax),
      validations: z.array(validationNewsSchema).max(LIMITS.stepNewsMax),
    })
    .optional(),
});
/** How far a job is. */
export interface JobStatus extends z.infer<typeof jobStatusSchema> {}
export type JobNews = NonNullable<JobStatus["news"]>;
