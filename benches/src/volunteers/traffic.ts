/**
 * What does a sample that a volunteer helps with cost its link? The real session and the real reducer of the demo's job
 * exchange tasks of real flights over a simulated link. Nothing is computed: what travels does not depend on it.
 */
import path from "node:path";
import { columnsOf, epochOrder, file, openDataset } from "@volary/core/data";
import { fieldDemands, floatsOfUse, labelDemandsOf, type JobManifest } from "@volary/core/job";
import { manifestOf } from "@volary/core/model";
import { firstPartitionMap } from "@volary/core/partition";
import { SimulatedClock, SimulatedNetwork } from "@volary/core/testing";
import {
  LeafedModel,
  openLeafSession,
  StepRowsFactory,
  type GradientModel,
  type StepInput,
} from "@volary/core/training";
import type { Clock } from "@volary/core/wire";
import { readColumns } from "@volary/node-worker";
import { loadJobFile } from "volary";
import { FrameBytes } from "../modes/counted-link.ts";
import { writeFlights } from "../parity/flights.ts";
import { DEMO_FOLDER } from "../traffic/demo-job.ts";

/** Samples of a task. */
const SIZES = [64, 256] as const;
const TASKS = 10;
/** Until a volunteer that is fast is given what it can take. */
const WARM_UP = 60;
/** A step of so many tasks leaves the reducer the eighth that is always its own. */
const STEP_OVER_TASK = 1.25;
/** The volunteer is faster, so that its tasks are as long as they may be. */
const MS_PER_SAMPLE = { reducer: 10, volunteer: 0.001 };

export interface Traffic {
  /** Of frames, for a sample of a task of 64, and of 256: to the volunteer, and from it. */
  bytesDown64: number;
  bytesUp64: number;
  bytesDown256: number;
  bytesUp256: number;
  /** Of what rows and their gradients take, over what they take where each sample has rows of its own. */
  rowsShare64: number;
  rowsShare256: number;
  /** The same where the job asks for bfloat16 in everything. */
  bytesDown256Bfloat16: number;
  bytesUp256Bfloat16: number;
}

interface Bytes {
  down: number;
  up: number;
  rows: number;
}

/** In a control nobody says which rows are the same. */
export async function measureTraffic(o: {
  folder: string;
  flights: number;
  batchSize: number;
  mode: "measure" | "control";
}): Promise<Traffic> {
  const flights = await openFlights(o);
  const of = async (samples: number): Promise<Bytes & { share: number }> => {
    const apart = await bytesOf(flights, { samples, rowIds: "unknown" });
    const once = o.mode === "control" ? apart : await bytesOf(flights, { samples, rowIds: "known" });
    return { ...once, share: once.rows / apart.rows };
  };
  const [few, many] = [await of(SIZES[0]), await of(SIZES[1])];
  const rough = await bytesOf(inBfloat16(flights), { samples: SIZES[1], rowIds: "known" });
  return {
    bytesDown64: few.down,
    bytesUp64: few.up,
    bytesDown256: many.down,
    bytesUp256: many.up,
    rowsShare64: few.share,
    rowsShare256: many.share,
    bytesDown256Bfloat16: rough.down,
    bytesUp256Bfloat16: rough.up,
  };
}

interface Flights {
  manifest: JobManifest;
  inputs: (samples: number, step: number) => Promise<StepInput>;
}

function inBfloat16({ manifest, inputs }: Flights): Flights {
  const wire = { rows: "bfloat16", gradients: "bfloat16", dense: "bfloat16" } as const;
  return { manifest: { ...manifest, fit: { ...manifest.fit, wire } }, inputs };
}

async function openFlights(o: { folder: string; flights: number; batchSize: number }): Promise<Flights> {
  const demo = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const { test: _, ...data } = demo.data;
  const { batchSize } = o;
  const few = await writeFlights(o.folder, { steps: Math.floor(o.flights / batchSize), batchSize });
  const { manifest } = await manifestOf({ ...demo, data: { ...data, files: [file(few)] } }, { workersMin: 1 });
  const spec = manifest.data;
  const dataset = openDataset({
    spec,
    table: await readColumns(spec, { baseDirs: [DEMO_FOLDER], columns: columnsOf(spec) }),
    demands: fieldDemands(manifest),
    labelDemands: (width) => labelDemandsOf(manifest, width),
  });
  const map = firstPartitionMap({ partitions: 8, nodes: [{ node: 1, name: "ps", address: "ws://ps" }] });
  const factory = new StepRowsFactory({ manifest, map, dataset });
  const order = epochOrder({ rows: dataset.trainRows, seed: manifest.seed, epoch: 0 });
  const rowFloats = manifest.model.embeddings.reduce((floats, use) => floats + floatsOfUse(use), 0);
  return {
    manifest,
    inputs: async (samples, step) => {
      const at = (step * samples) % (order.length - samples);
      const stepRows = await factory.read("train", order.subarray(at, at + samples), 0);
      const { batch, numbers, masks } = stepRows;
      const { label, weight } = batch;
      const rowIds = () => stepRows.rowIds();
      const rows = new Float32Array(samples * rowFloats);
      return { rows, rowIds, numbers, masks, label, weight, samples, globalSamples: samples, step };
    },
  };
}

async function bytesOf(
  { manifest, inputs }: Flights,
  { samples, rowIds }: { samples: number; rowIds: "known" | "unknown" },
): Promise<Bytes> {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: manifest.seed, delayMs: { min: 1, max: 2 } });
  const leafed = new LeafedModel({
    model: idleModel(manifest, { clock, msPerSample: MS_PER_SAMPLE.reducer }),
    job: 0,
    manifest,
    clock,
    leavesMax: 1,
    combine: "centered-clip",
    audit: 0,
    auditSeed: [manifest.seed],
    tell: () => {},
    log: () => {},
  });
  const { address } = network.host("reducer").listen({
    name: "reducer",
    onLink: (link) => leafed.accept({ volunteer: 1, name: "volunteer", link }),
  });
  const host = network.host("volunteer");
  const link = await clock.until(host.dialer.dial(address, { role: "leaf", name: "volunteer", id: 1, job: 0 }));
  const bytes = new FrameBytes();
  const tasks: number[] = [];
  openLeafSession({
    link: bytes.through(link),
    manifest,
    model: idleModel(manifest, { clock: host.clock, msPerSample: MS_PER_SAMPLE.volunteer }),
    clock: host.clock,
    device: "simulated",
    probe: { samples: 1, computeMs: MS_PER_SAMPLE.volunteer },
    share: () => 1,
    events: { onComputed: (task) => tasks.push(task.samples) },
  });
  for (let step = 0; step < WARM_UP + TASKS; step++) {
    if (step === WARM_UP) {
      bytes.reset();
      tasks.length = 0;
    }
    leafed.setDense(new Float32Array(leafed.denseFloats));
    const at = await inputs(STEP_OVER_TASK * samples, step);
    await clock.until(leafed.step(rowIds === "known" ? at : { ...at, rowIds: undefined }));
    await clock.advance(10); // until it asks for more
  }
  leafed.dispose();
  if (tasks.length !== TASKS || tasks.some((each) => each !== samples))
    throw new Error(`tasks were of ${tasks.join(", ")} samples; ${TASKS} of ${samples} each were to be measured`);
  const perSample = (sum: number): number => sum / (TASKS * samples);
  const rowsDown = bytes.receivedOf(["leafRows", "leafRowNumbers"]);
  const rowsUp = bytes.sentOf(["leafRowGradients"]);
  return {
    down: perSample(rowsDown + bytes.receivedOf(["leafDense", "leafInputs"])),
    up: perSample(rowsUp + bytes.sentOf(["leafDenseGradients"])),
    rows: perSample(rowsDown + rowsUp),
  };
}

/** Its gradients are 0, and take the time that others would. */
function idleModel(
  { model: { variables } }: JobManifest,
  { clock, msPerSample }: { clock: Clock; msPerSample: number },
): GradientModel {
  const denseFloats = variables.reduce((sum, { shape }) => sum + shape.reduce((floats, n) => floats * n, 1), 0);
  return {
    denseFloats,
    setDense: () => {},
    predict: () => Promise.resolve(new Float32Array(0)),
    dispose: () => {},
    async step({ rows, samples }) {
      await new Promise<void>((resolve) => void clock.after(samples * msPerSample, resolve));
      return { rowGrads: new Float32Array(rows.length), denseGrads: new Float32Array(denseFloats), lossSum: 0 };
    },
  };
}
