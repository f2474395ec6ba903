/** From a model object, data and tfjs's options to a job. */
import { bsp } from "@volary/core/consistency";
import type { ColumnTable } from "@volary/core/data";
import {
  compileOf,
  convertEmbeddings,
  hasTfjsEmbedding,
  manifestOfModel,
  type JobArgs,
  type LayersModel,
  type PreparedJob,
} from "@volary/core/model";
import type { Plugins } from "@volary/core/plugin";
import { readableData, type FitData } from "./fit-data.ts";
import type { HostedTables } from "./table-host.ts";
import type { FitOptions } from "./train-options.ts";

export interface FitRequest {
  model: LayersModel;
  data: FitData;
  options: FitOptions;
  workersMin: number;
  plugins: Plugins;
  where: "local" | "remote";
  /** Puts tables where the workers can read them. */
  host: (tables: readonly ColumnTable[]) => Promise<HostedTables>;
}

export interface FitJob extends PreparedJob {
  /** Takes away what was hosted for the job. */
  close(): Promise<void>;
}

/** tfjs's default. */
const BATCH_SIZE = 32;

/**
 * The job of `cluster.fit`. The model stays as it is; embeddings of tfjs become tables, which start from its rows.
 *
 * @throws {TypeError | RangeError} model, data and options do not fit each other: where, and the remedy
 */
export async function fitJob(o: FitRequest): Promise<FitJob> {
  const { model, options } = o;
  const { name = model.name, seed = 0 } = options;
  const compile = compileOf(model, options.compile);
  const data = await readableData({ ...o, inputs: model.inputs.map(({ sourceLayer }) => sourceLayer.name), seed });
  const converted = hasTfjsEmbedding(model) ? await convertEmbeddings(model) : undefined;
  try {
    const job = { name, seed, data: data.spec, compile, fit: fitOf(options, data.spec.test !== undefined) };
    const { workersMin, plugins } = o;
    const prepared = await manifestOfModel(converted ?? model, job, { workersMin, plugins });
    return { ...prepared, close: () => data.close() };
  } catch (error) {
    await data.close();
    throw error;
  } finally {
    converted?.dispose();
  }
}

function fitOf(options: FitOptions, isHeldOut: boolean): JobArgs["fit"] {
  const { batchSize = BATCH_SIZE, consistency = bsp() } = options;
  const { epochs, stepsMax, shuffle, earlyStopping, classWeight, wire, prefetch, dense, cache } = options;
  const validate = validateOf(options, isHeldOut);
  const given = {
    epochs,
    stepsMax,
    shuffle,
    validate,
    earlyStopping,
    classWeight,
    wire,
    prefetch,
    dense,
    cache,
  } satisfies Record<Exclude<keyof JobArgs["fit"], "batchSize" | "consistency">, unknown>;
  return {
    batchSize,
    consistency,
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<
      JobArgs["fit"]
    >),
  };
}

/** tfjs validates after each epoch, where there is something to validate on. */
function validateOf({ validate, validationFreq }: FitOptions, isHeldOut: boolean): JobArgs["fit"]["validate"] {
  if (validate !== undefined && validationFreq !== undefined)
    throw new TypeError("validate and validationFreq both say when the held-out rows are evaluated; give one of them");
  if (validate !== undefined) return validate;
  if (validationFreq !== undefined) return { everyEpochs: validationFreq };
  return isHeldOut ? "epoch" : undefined;
}
