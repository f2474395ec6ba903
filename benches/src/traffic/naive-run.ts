/**
 * The demo's job as a worker would run it that takes no care: for every sample and field it pulls the row of the key
 * and pushes its gradient, in float32, one table after the other. A program of its own, over the same wire.
 *
 * Frames hold a key once, so what a batch has several times is asked for in several frames: one with the first
 * occurrence of each key, one with the second, … Their headers count; the figure without them is reported too.
 */
import { columnsOf, epochOrder, openDataset, type Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { manifestOf, openModel } from "@volary/core/model";
import { optimizerOf } from "@volary/core/optimizer";
import { Plugins } from "@volary/core/plugin";
import type { TableSpec } from "@volary/core/table";
import { stepPlan } from "@volary/core/training";
import { openDevice, readColumns } from "@volary/node-worker";
import { bytesTo } from "./counted-sockets.ts";
import { openTables, VolaryRows, type PlannedRows } from "../ps/volary-rows.ts";
import { DEMO_FOLDER, demoJob, type DemoOptions } from "./demo-job.ts";

/** What this process is started with. */
export interface NaiveRequest extends DemoOptions {
  coordinator: string;
  ports: readonly number[];
  /** What is wrong on purpose in a control. */
  fault?: "learns-nothing" | undefined;
}

/** What it prints. */
export interface NaiveRun {
  losses: number[];
  bytes: number;
  /** Keys, rows and gradients alone. */
  bytesWithoutHeaders: number;
}

/** Requests on their way: a client may have a thousand pushes unanswered. */
const REQUESTS_MAX = 512;
const KEY_BYTES = 8;

const request = JSON.parse(process.argv[2]!) as NaiveRequest;
await openDevice("wasm");
const { manifest, denseWeights } = await manifestOf(await demoJob(request), { workersMin: 1 });
const { opened, close } = await openTables(request.coordinator, manifest.tables, { seed: manifest.seed });
const client = await VolaryRows.connect(opened);
const model = await openModel(manifest, Plugins.none);
const updateDense = denseUpdate(manifest, denseWeights);
const { embeddings } = manifest.model;
const width = embeddings.reduce((sum, { dim }) => sum + dim, 0);

const losses: number[] = [];
let payload = 0;
for await (const batch of batchesOf(manifest)) {
  const { samples } = batch;
  const occurrences: Occurrences[] = [];
  const rows = new Float32Array(samples * width);
  for (const [f, { field, table, dim }] of embeddings.entries()) {
    const spec = manifest.tables.find(({ name }) => name === table)!;
    const of = { spec, batch, field, first: embeddings.slice(0, f).reduce((sum, use) => sum + use.dim, 0), dim };
    const found = occurrencesOf(of);
    await pullInto(rows, found);
    occurrences.push(found);
    payload += 2 * samples * (KEY_BYTES + 4 * dim);
  }
  model.setDense(updateDense.weights);
  const label = batch.label;
  const { rowGrads, denseGrads, lossSum } = await model.step({
    rows,
    numbers: new Float32Array(0),
    label,
    samples,
    globalSamples: samples,
  });
  losses.push(lossSum / samples);
  if (request.fault === "learns-nothing") continue;
  updateDense.apply(denseGrads);
  for (const found of occurrences) await pushFrom(rowGrads, found);
}
const run: NaiveRun = { losses, bytes: bytesTo(request.ports), bytesWithoutHeaders: payload };
console.log(JSON.stringify(run));
client.close();
close();
process.exit(0);

/** The occurrences of one field's keys, in groups without equal ones. */
interface Occurrences {
  dim: number;
  /** Where the field's floats begin in a sample's. */
  first: number;
  groups: { planned: PlannedRows; samples: number[] }[];
}

function occurrencesOf(o: { spec: TableSpec; batch: Batch; field: string; first: number; dim: number }): Occurrences {
  const words = o.batch.keys.get(o.field)!;
  const met = new Map<bigint, number>();
  const groups: number[][] = [];
  new BigUint64Array(words.slice().buffer).forEach((key, sample) => {
    const before = met.get(key) ?? 0;
    met.set(key, before + 1);
    (groups[before] ??= []).push(sample);
  });
  return {
    dim: o.dim,
    first: o.first,
    groups: groups.map((samples) => {
      const keys = Uint32Array.from(samples.flatMap((sample) => [words[2 * sample]!, words[2 * sample + 1]!]));
      return { planned: client.plan(o.spec, keys), samples };
    }),
  };
}

async function pullInto(rows: Float32Array, { groups, dim, first }: Occurrences): Promise<void> {
  await inTurns(groups, async ({ planned, samples }) => {
    const pulled = new Float32Array(samples.length * dim);
    await client.pull(planned, pulled);
    samples.forEach((sample, i) => {
      const at = planned.offsets[i]!;
      rows.set(pulled.subarray(at, at + dim), sample * width + first);
    });
  });
}

async function pushFrom(rowGrads: Float32Array, { groups, dim, first }: Occurrences): Promise<void> {
  await inTurns(groups, async ({ planned, samples }) => {
    const gradients = new Float32Array(samples.length * dim);
    samples.forEach((sample, i) => {
      const from = sample * width + first;
      gradients.set(rowGrads.subarray(from, from + dim), planned.offsets[i]);
    });
    await client.push(planned, gradients);
  });
}

/** So many at a time. */
async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += REQUESTS_MAX)
    await Promise.all(items.slice(at, at + REQUESTS_MAX).map((item) => work(item)));
}

/** The job's optimizer over all dense weights, which every one of them is for itself. */
function denseUpdate({ compile }: JobManifest, initial: Float32Array) {
  const optimizer = optimizerOf(compile.optimizer);
  const floats = initial.length;
  const row = new Float32Array(floats + optimizer.stateWidth(floats));
  row.set(initial);
  optimizer.initState(row, 0, floats);
  let updates = 0;
  const rate = (compile.optimizer as { learningRate: number }).learningRate;
  return {
    weights: row.subarray(0, floats),
    apply: (grads: Float32Array) => optimizer.update(row, 0, floats, grads, 0, ++updates, rate),
  };
}

/** The batches of the job's first steps, in its order. */
async function* batchesOf(manifest: JobManifest): AsyncGenerator<Batch> {
  const { data, model: spec, seed } = manifest;
  const table = await readColumns(data, { baseDirs: [DEMO_FOLDER], columns: columnsOf(data) });
  const demands = spec.embeddings.map(({ field }) => ({ name: field, as: "keys" as const }));
  const dataset = openDataset({ spec: data, table, demands });
  const plan = stepPlan({ manifest, trainRows: dataset.trainRows });
  // The steps of a bench are few: all of the first epoch.
  const order = epochOrder({ rows: dataset.trainRows, seed, epoch: plan.epochOf(1) });
  for (let step = 1; step <= plan.steps; step++) {
    const { from, to } = plan.samplesOf(step);
    yield dataset.read("train", order.subarray(from, to));
  }
}
