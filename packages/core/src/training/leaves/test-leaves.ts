/** For the tests: a reducer and volunteers on a simulated network, with a model whose sums are exact. */
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "../../testing/index.ts";
import type { JobManifest } from "../../job/index.ts";
import type { Clock, Control, Link } from "../../wire/index.ts";
import type { GradientModel, StepGradients, StepInput } from "../job/gradient-model.ts";
import { DIM, MANIFEST as WORKER_JOB } from "../test-worker-job.ts";
import { LeafedModel, type ReducerOptions } from "./leafed-model.ts";
import {
  openLeafSession,
  type LeafEnd,
  type LeafEvents,
  type LeafSession,
  type LeafSessionOptions,
} from "./leaf-session.ts";

export { DIM };
export const DENSE = 5;

export const MANIFEST: JobManifest = {
  ...WORKER_JOB,
  model: {
    ...WORKER_JOB.model,
    numbers: [{ input: "n", field: "n", shape: [1] }],
    variables: [{ name: "w", shape: [DENSE], trainable: true }],
  },
  fit: { ...WORKER_JOB.fit, batchSize: 1024 },
};

/** Gradients of whole numbers over a power of two: any order of adding gives the same bits. */
export class ToyModel implements GradientModel {
  readonly denseFloats = DENSE;
  readonly #clock: Clock;
  readonly #msPerSample: number;
  #dense = new Float32Array(DENSE);
  steps = 0;

  constructor({ clock, msPerSample }: { clock: Clock; msPerSample: number }) {
    this.#clock = clock;
    this.#msPerSample = msPerSample;
  }

  setDense(flat: Float32Array): void {
    this.#dense = flat.slice();
  }

  async step(at: StepInput): Promise<StepGradients> {
    this.steps++;
    const dense = this.#dense;
    const input = { ...at, rows: at.rows.slice(), numbers: at.numbers.slice(), label: at.label.slice() };
    await new Promise<void>((resolve) => this.#clock.after(this.#msPerSample * at.samples, resolve));
    return gradientsOf(input, dense);
  }

  predict(): Promise<Float32Array> {
    return Promise.resolve(new Float32Array(0));
  }

  dispose(): void {}
}

export function gradientsOf(at: StepInput, dense: Float32Array): StepGradients {
  const { rows, numbers, label, samples, globalSamples } = at;
  const rowGrads = new Float32Array(samples * DIM);
  const denseGrads = new Float32Array(DENSE);
  let lossSum = 0;
  for (let b = 0; b < samples; b++) {
    const place = Math.abs(label[b]!) % DENSE;
    const off = rows[DIM * b]! + numbers[b]! * dense[place]! - label[b]!;
    lossSum += Math.abs(off);
    for (let d = 0; d < DIM; d++) rowGrads[DIM * b + d] = (off * (d + 1)) / globalSamples;
    denseGrads[place]! += (off * numbers[b]!) / globalSamples;
  }
  return { rowGrads, denseGrads, lossSum };
}

/**
 * Samples of a step: whole numbers of which many differ.
 *
 * @param o.rows that they share, where they are said to share some
 */
export function inputOf(
  step: number,
  { samples = 1024, rows }: { samples?: number; rows?: number | undefined } = {},
): StepInput {
  const whole = (salt: number, n: number) =>
    Float32Array.from({ length: n }, (_, i) => ((i * 7919 + step * 104_729 + salt * 31) % 17) - 8);
  const rowIds = rows === undefined ? undefined : new Uint32Array(samples).map((_, b) => (b * b + step) % rows);
  const packed = whole(1, samples * DIM);
  return {
    rows: rowIds ? packed.map((_, i) => packed[DIM * rowIds[Math.floor(i / DIM)]! + (i % DIM)]!) : packed,
    rowIds: rowIds && (() => rowIds),
    numbers: whole(2, samples),
    label: whole(3, samples),
    samples,
    globalSamples: 1024,
    step,
  };
}

export const denseOf = (step: number): Float32Array =>
  Float32Array.from({ length: DENSE }, (_, i) => ((step + i) % 5) - 2);

export interface Volunteer {
  readonly host: SimulatedHost;
  readonly session: LeafSession;
  readonly model: ToyModel;
  readonly ended: LeafEnd[];
  readonly accepted: { task: number; step: number; samples: number }[];
  readonly refused: { task: number; code: string; message: string }[];
  readonly computed: number[];
}

/** Tasks that do not count, and numbers of steps that no test uses. */
const TRIALS = 2;
const STEP_OF_TRIAL = 900_000;

/** A link whose owner changes what it sends. */
export type Tamper = (link: Link) => Link;

export class LeafBench {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  readonly reducer: SimulatedHost;
  readonly own: ToyModel;
  readonly leafed: LeafedModel;
  /** What the coordinator was told. */
  readonly told: Control[] = [];
  readonly #address: string;
  readonly #rows: number | undefined;
  #step = 0;
  /** Told of those that have joined since the last step, once they are tried out. */
  #fresh: (() => void)[] = [];

  constructor({
    seed = 1,
    ownMsPerSample = 0.1,
    rows,
    ...reducer
  }: Partial<ReducerOptions> & { seed?: number; ownMsPerSample?: number; rows?: number } = {}) {
    this.#rows = rows;
    this.network = new SimulatedNetwork({ clock: this.clock, seed, delayMs: { min: 1, max: 3 } });
    this.reducer = this.network.host("reducer");
    this.own = new ToyModel({ clock: this.reducer.clock, msPerSample: ownMsPerSample });
    this.leafed = new LeafedModel({
      leavesMax: 8,
      combine: "mean",
      audit: 0,
      auditSeed: [1, 2],
      ...reducer,
      model: this.own,
      job: 1,
      manifest: MANIFEST,
      clock: this.reducer.clock,
      tell: (control) => this.told.push(control),
      log: () => {},
    });
    const { address } = this.reducer.listen({
      name: "reducer",
      onLink: (link, hello) => this.leafed.accept({ volunteer: hello.id!, name: hello.name, link }),
    });
    this.#address = address;
  }

  async join(
    volunteer: number,
    o: {
      msPerSample?: number;
      share?: () => number;
      tamper?: Tamper;
      probeMs?: number;
      events?: Partial<LeafEvents>;
      host?: string;
      group?: LeafSessionOptions["group"];
      /** It has been tried out: what it sent so far is not counted. */
      onTried?: () => void;
    } = {},
  ): Promise<Volunteer> {
    const { msPerSample = 0.2, share = () => 1, tamper = (link) => link, probeMs = 16 * msPerSample } = o;
    const host = this.network.host(o.host ?? `leaf-${volunteer}`);
    const dialed = host.dialer.dial(this.#address, { role: "leaf", name: `leaf-${volunteer}`, id: volunteer, job: 1 });
    const link = tamper(await this.clock.until(dialed));
    const model = new ToyModel({ clock: host.clock, msPerSample });
    const ended: LeafEnd[] = [];
    const [accepted, refused, computed]: [Volunteer["accepted"], Volunteer["refused"], number[]] = [[], [], []];
    const session = openLeafSession({
      link,
      manifest: MANIFEST,
      model,
      clock: host.clock,
      device: "toy",
      probe: { samples: 16, computeMs: probeMs },
      share,
      group: o.group,
      events: {
        onAccepted: (task) => accepted.push(task),
        onRefused: (task) => refused.push(task),
        onComputed: ({ samples }) => computed.push(samples),
        ...o.events,
      },
    });
    void session.closed.then((end) => ended.push(end));
    await this.clock.advance(10);
    this.#fresh.push(() => {
      computed.length = 0;
      o.onTried?.();
    });
    return { host, session, model, ended, accepted, refused, computed };
  }

  /** Takes steps in which those that have joined are tried out, so that from now on they help. */
  async tryOut(): Promise<void> {
    const fresh = this.#fresh;
    this.#fresh = [];
    for (let trial = 0; trial < TRIALS; trial++) {
      await this.step(1024, STEP_OF_TRIAL + trial);
      await this.clock.advance(5); // until they ask for more
    }
    for (const onTried of fresh) onTried();
  }

  /** Takes one step: what came of it, what must come of it, and how long it took. */
  async step(samples = 1024, step = ++this.#step): Promise<{ got: StepGradients; want: StepGradients; ms: number }> {
    if (this.#fresh.length > 0) await this.tryOut();
    const at = inputOf(step, { samples, rows: this.#rows });
    const dense = denseOf(step);
    this.leafed.setDense(dense);
    const begun = this.clock.now();
    const got = await this.clock.until(this.leafed.step(at));
    return { got, want: gradientsOf(at, dense), ms: this.clock.now() - begun };
  }
}
