/**
 * The data and the jobs of the parity bench: as many real flights as the steps need, spread evenly over the six
 * months, in a Parquet file of their own that every worker reads in no time.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import { bsp, defineJob, embedding, input, through, type JobDefinition, type OptimizerSpec } from "@volary/core";
import {
  atLeast,
  bucket,
  columnsOf,
  cross,
  dayOfMonth,
  dayOfWeek,
  file,
  hourOf,
  monthOf,
  npmFile,
  parquet,
  type Column,
  type FieldLike,
} from "@volary/core/data";
import { readColumns } from "@volary/node-worker";
import { parquetWriteBuffer } from "hyparquet-writer";

const FLIGHTS = npmFile("vega-datasets/data/flights-3m.parquet");

/** Fields whose keys are small integers, which `tf.layers.embedding` can take too. */
const single = {
  hour: hourOf("date"),
  weekday: dayOfWeek("date"),
  month: monthOf("date"),
  monthday: dayOfMonth("date"),
  distance: bucket("distance", 50),
};

const crosses = {
  origin: "origin",
  destination: "destination",
  route: cross("origin", "destination"),
  originHour: cross("origin", single.hour),
};

const everything = { ...single, ...crosses };

/** A file of flights, and how many steps of how many of them make a job. */
export interface JobData {
  file: string;
  steps: number;
  batchSize: number;
}

/** All flights, which a bench reads once, however many files it writes. */
let allFlights: ReturnType<typeof readFlights> | undefined;

function readFlights() {
  const all = parquet(FLIGHTS, { fields: everything, label: "delay" });
  return readColumns(all, { baseDirs: [import.meta.dirname], columns: columnsOf(all) });
}

/**
 * Writes as many flights as one epoch takes.
 *
 * @returns the file's path
 */
export async function writeFlights(folder: string, { steps, batchSize }: Omit<JobData, "file">): Promise<string> {
  const table = await (allFlights ??= readFlights());
  const rows = steps * batchSize;
  const stride = Math.floor(table.rows / rows);
  if (!(stride >= 1)) throw new RangeError(`${steps} steps of ${batchSize} flights: there are only ${table.rows}`);
  const picked = Array.from({ length: rows }, (_, i) => i * stride);
  const columnData = Array.from(table.columns, ([name, column]) => ({ name, ...valuesOf(column, picked) }));
  const at = path.join(folder, "flights.parquet");
  await writeFile(at, new Uint8Array(parquetWriteBuffer({ columnData })));
  return at;
}

function valuesOf(column: Column, rows: readonly number[]) {
  switch (column.kind) {
    case "int64":
      return { data: rows.map((row) => column.values[row]!), type: "INT64" as const };
    case "number":
      return { data: rows.map((row) => column.values[row]!), type: "DOUBLE" as const };
    case "string":
      return { data: rows.map((row) => column.dictionary[column.codes[row]!]!), type: "STRING" as const };
    case "list":
      throw new TypeError("the flights have no lists");
    default:
      return column satisfies never;
  }
}

export interface JobOptions extends JobData {
  name: string;
  optimizer: OptimizerSpec;
  sparseOptimizer: OptimizerSpec;
}

/** Embeddings of single fields and crosses under a small MLP. */
export function crossedJob(options: JobOptions): JobDefinition {
  return jobOf({ ...options, fields: everything, dim: 8, units: 32 });
}

/** A smaller one of single fields only, which plain tfjs can train too. */
export function plainJob(options: JobOptions): JobDefinition {
  return jobOf({ ...options, fields: single, dim: 8, units: 16 });
}

function jobOf(o: JobOptions & { fields: Record<string, FieldLike>; dim: number; units: number }): JobDefinition {
  const { name, steps, batchSize, fields, dim, units, optimizer, sparseOptimizer } = o;
  const data = parquet(file(o.file), { fields, label: atLeast("delay", 15) });
  return defineJob({
    name,
    seed: 7,
    data,
    model() {
      const names = Object.keys(fields);
      const inputs = names.map((name) => input({ name, dtype: "string" }));
      const rows = inputs.map((field, i) => embedding({ table: names[i]!, dim }).apply(field));
      const late = through(
        rows,
        tf.layers.concatenate(),
        tf.layers.dense({ units, activation: "relu" }),
        tf.layers.dense({ units: 1, activation: "sigmoid" }),
      );
      return tf.model({ inputs, outputs: late });
    },
    compile: { optimizer, sparseOptimizer, loss: "binaryCrossentropy" },
    fit: { batchSize, stepsMax: steps, consistency: bsp() },
  });
}
