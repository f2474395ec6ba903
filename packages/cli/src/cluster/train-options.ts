/** What a caller may say of how a job is trained and watched. */
import type { JobArgs } from "@volary/core/model";
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import type { TrainingCallbacks } from "./callbacks.ts";
import type { FitDataOptions } from "./fit-data.ts";

/** How a job is watched and stopped. */
export interface TrainOptions {
  /** Every piece of news, many a second. */
  onStatus?: ((status: JobStatus) => void) | undefined;
  /** The whole cluster, about once a second while the job runs. */
  onCluster?: ((status: ClusterStatus) => void) | undefined;
  /** The job's layers, tables and dense weights, in lines, before it begins. */
  onSummary?: ((summary: string) => void) | undefined;
  /** Run here, as tfjs's. */
  callbacks?: TrainingCallbacks | readonly TrainingCallbacks[] | undefined;
  /** 1 prints a line after each epoch; 0 by default. `progressScreen()` shows more. */
  verbose?: 0 | 1 | undefined;
  /** Stops the job. */
  signal?: AbortSignal | undefined;
  /** Workers the job waits for: as many as there are, unless said otherwise. */
  workersMin?: number | undefined;
}

type Fit = JobArgs["fit"];

/** As tfjs's `model.fit` options, with what a cluster adds. */
export interface FitOptions<Fields extends string = string>
  extends TrainOptions, FitDataOptions<Fields>, Omit<Fit, "batchSize" | "consistency"> {
  /** Of the job; the model's name by default. */
  name?: string;
  /** Of initial rows and epoch orders; 0 by default. Dense weights are those the model has when it is handed in. */
  seed?: number;
  /** What `model.compile(…)` did not say; optimizer, loss and metrics here go before those. */
  compile?: Partial<JobArgs["compile"]>;
  /** Samples of one step over all workers; 32 by default, as in tfjs. A cluster likes some thousands. */
  batchSize?: number;
  /** `bsp()` by default. */
  consistency?: NonNullable<Fit["consistency"]>;
  /** Epochs between evaluations of the held-out rows; 1 by default, where rows are held out. */
  validationFreq?: number;
}
