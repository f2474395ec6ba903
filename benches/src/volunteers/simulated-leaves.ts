/**
 * Volunteers of a worker in its own process: the real sessions and the real reducer, over simulated links and on a
 * simulated clock, on which all devices are equally fast. They compute with the worker's own device, one after the
 * other; who is given what depends on simulated times alone, so one seed gives one history.
 */
import type { JobManifest } from "@volary/core/job";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "@volary/core/testing";
import { LeafedModel, openLeafSession, type GradientModel, type ReducerOptions } from "@volary/core/training";
import type { Clock } from "@volary/core/wire";

/** Of the simulated devices. */
const MS_PER_SAMPLE = 1;
const LINK_MS = { min: 1, max: 2 };

/** What a volunteer makes of the gradients of a step, in place, before it sends them. */
export type Lie = (gradients: Float32Array, step: number) => void;

export interface SimulatedLeavesOptions {
  manifest: JobManifest;
  leaves: number;
  reducer: Pick<ReducerOptions, "combine" | "audit">;
  /** So many volunteers, the first ones, do not tell the truth, but this. */
  liars: number;
  lie: Lie;
}

/** What became of the volunteers' work. */
export interface LeafTally {
  /** Updates that were sent, and samples in those that count, by volunteer. */
  readonly sent: number[];
  readonly samples: number[];
  /** After how many of its updates a volunteer was expelled; undefined where it was not. */
  readonly expelledAfter: (number | undefined)[];
}

/** The worker's model, helped by volunteers. */
export function withSimulatedLeaves(
  model: GradientModel,
  o: SimulatedLeavesOptions,
): GradientModel & { tally: LeafTally } {
  const { manifest, leaves, reducer } = o;
  const computing = { count: 0 };
  const clock = new SimulatedClock({ settle: () => settled(computing) });
  const network = new SimulatedNetwork({ clock, seed: manifest.seed, delayMs: LINK_MS });
  const timed = timedModel(model, { clock, computing });
  const leafed = new LeafedModel({
    model: timed,
    job: 0,
    manifest,
    clock,
    leavesMax: leaves,
    ...reducer,
    auditSeed: [manifest.seed],
    tell: () => {},
    log: () => {},
  });
  const address = network.host("reducer").listen({
    name: "reducer",
    onLink: (link, hello) => leafed.accept({ volunteer: hello.id!, name: hello.name, link }),
  }).address;
  const tally: LeafTally = {
    sent: Array.from({ length: leaves }, () => 0),
    samples: Array.from({ length: leaves }, () => 0),
    expelledAfter: Array.from({ length: leaves }, () => undefined),
  };
  const joining = Array.from({ length: leaves }, (_, i) =>
    join(i, { ...o, model: timed, host: network.host(`volunteer-${i}`), address, tally }),
  );
  let joined = false;
  return {
    denseFloats: model.denseFloats,
    setDense: (flat) => leafed.setDense(flat),
    predict: (at) => model.predict(at),
    dispose: () => leafed.dispose(),
    async step(at) {
      if (!joined) await clock.until(Promise.all(joining));
      joined = true;
      return clock.until(leafed.step(at));
    },
    tally,
  };
}

interface Joining extends SimulatedLeavesOptions {
  model: GradientModel;
  host: SimulatedHost;
  address: string;
  tally: LeafTally;
}

async function join(i: number, { model, manifest, host, address, liars, lie, tally }: Joining): Promise<void> {
  const link = await host.dialer.dial(address, { role: "leaf", name: host.name, id: i + 1, job: 0 });
  let step = 0;
  const session = openLeafSession({
    link,
    manifest,
    model: i < liars ? lyingModel(model, (gradients) => lie(gradients, step)) : model,
    clock: host.clock,
    device: "simulated",
    probe: { samples: 1, computeMs: MS_PER_SAMPLE },
    share: () => 1,
    events: {
      onTask: (task) => {
        step = task.step;
      },
      onComputed: () => tally.sent[i]!++,
      onAccepted: ({ samples }) => {
        tally.samples[i]! += samples;
      },
    },
  });
  void session.closed.then(({ code }) => {
    if (code.startsWith("UPDATE_")) tally.expelledAfter[i] = tally.sent[i]!;
  });
}

/** Takes simulated time, and its share of the real device. Its weights are the same for all. */
function timedModel(
  model: GradientModel,
  { clock, computing }: { clock: Clock; computing: { count: number } },
): GradientModel {
  return {
    denseFloats: model.denseFloats,
    setDense: (flat) => model.setDense(flat),
    predict: (at) => model.predict(at),
    dispose: () => model.dispose(),
    async step(at) {
      computing.count++;
      const gradients = await model.step(at).finally(() => computing.count--);
      await new Promise<void>((resolve) => void clock.after(at.samples * MS_PER_SAMPLE, resolve));
      return gradients;
    },
  };
}

function lyingModel(model: GradientModel, lie: (gradients: Float32Array) => void): GradientModel {
  return {
    ...model,
    setDense: (flat) => model.setDense(flat),
    async step(at) {
      const gradients = await model.step(at);
      lie(gradients.rowGrads);
      lie(gradients.denseGrads);
      return gradients;
    },
  };
}

/** Once nothing computes, and everything that awaited it has gone on. */
async function settled(computing: { count: number }): Promise<void> {
  do await new Promise((resolve) => void setImmediate(resolve));
  while (computing.count > 0);
}
