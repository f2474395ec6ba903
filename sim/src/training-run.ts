/** A training job as `cluster.train` runs it: submitted, given its first dense weights, watched, and read when it is over. */
import type { ExportedRows, TableClient } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import type { PartitionMap } from "@volary/core/partition";
import { readDense, writeDense } from "@volary/core/training";
import type { ControlOf, JobNews, JobStatus } from "@volary/core/wire";
import type { SimulatedClient } from "./simulated-client.ts";
import { isCounting } from "./counting-job.ts";
import { DENSE_FLOATS } from "./toy-job.ts";

export interface FinishedJob {
  job: number;
  status: JobStatus;
  commits: ControlOf<"commits">["commits"];
  terms: ControlOf<"commits">["terms"];
  map: PartitionMap;
  /** All the news that its client was told. */
  history: JobNews;
  /** Rows of each table. */
  tables: ReadonlyMap<string, ExportedRows>;
  dense: Float32Array;
}

/** Submits a job with all dense weights at 0.1, or 0 where it counts, and reads what it leaves behind. */
export async function runTraining(o: {
  client: SimulatedClient;
  manifest: JobManifest;
  onSubmitted?: ((job: number) => void) | undefined;
  /** Ends training early, this long after it was submitted. */
  finishAfterMs?: number | undefined;
  /** What it leaves behind is read once this resolves. */
  untilRead?: Promise<void>;
}): Promise<FinishedJob> {
  const { client, manifest, finishAfterMs } = o;
  const link = await client.coordinator();
  const { job, map } = await client.submit(manifest);
  o.onSubmitted?.(job);
  const tables = await client.tables({ job, map });
  await writeDense(tables, manifest.model.variables, initialDense(manifest));
  link.send({ type: "run-job", job });
  if (finishAfterMs !== undefined)
    client.host.clock.after(finishAfterMs, () => link.send({ type: "finish-job", job, reason: "its client says so" }));
  const history: JobNews = { steps: [], epochs: [], validations: [] };
  let status: JobStatus;
  do {
    status = (await link.next("job-status")).status;
    history.steps.push(...(status.news?.steps ?? []));
    history.epochs.push(...(status.news?.epochs ?? []));
    history.validations.push(...(status.news?.validations ?? []));
  } while (!["done", "failed", "stopped"].includes(status.phase));
  link.send({ type: "commits-request", job });
  const { commits, terms } = await link.next("commits");
  await o.untilRead;
  const rows = new Map<string, ExportedRows>();
  for (const table of manifest.tables) rows.set(table.name, await wholeTable(tables.export(table)));
  const dense = await readDense(tables, manifest.model.variables);
  return { job, status, commits, terms, map, history, tables: rows, dense };
}

/** Dense weights that a job begins with. */
export function initialDense(manifest: JobManifest): Float32Array {
  return new Float32Array(DENSE_FLOATS).fill(isCounting(manifest) ? 0 : 0.1);
}

/** All rows of a table, by key. */
export async function rowsOf(tables: TableClient, table: JobManifest["tables"][number]) {
  const { keys, values } = await wholeTable(tables.export(table));
  return new Map(Array.from(keys, (key, i) => [key, values.slice(i * table.dim, (i + 1) * table.dim)] as const));
}

async function wholeTable(chunks: AsyncGenerator<ExportedRows>): Promise<ExportedRows> {
  const parts: ExportedRows[] = [];
  for await (const part of chunks) parts.push(part);
  const keys = new BigUint64Array(parts.reduce((n, p) => n + p.keys.length, 0));
  const values = new Float32Array(parts.reduce((n, p) => n + p.values.length, 0));
  let [k, v] = [0, 0];
  for (const part of parts) {
    keys.set(part.keys, k);
    values.set(part.values, v);
    k += part.keys.length;
    v += part.values.length;
  }
  return { keys, values };
}
