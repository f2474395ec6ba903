/** Models of a seed's workers and volunteers: what they compute is the same, how long it takes them is drawn. */
import type { SeededRandom, SimulatedHost } from "@volary/core/testing";
import type { GradientModel } from "@volary/core/training";
import { countingModel } from "./counting-job.ts";
import type { Training } from "./seed-plan.ts";
import { toyModel } from "./toy-job.ts";
import type { VolunteerPlan } from "./volunteers-plan.ts";

/** The one that is slow, if one is. */
const FIRST_WORKER = "worker-0";
/** Longer than most reducers wait. */
const BUSY_MS = { min: 200, max: 2000 };

type Pace = Pick<Training, "computeMaxMs" | "slowness" | "isCounting">;

export class SeedModels {
  readonly #training: Pace | undefined;
  readonly #random: SeededRandom;

  constructor(training: Pace | undefined, random: SeededRandom) {
    this.#training = training;
    this.#random = random;
  }

  ofWorker(host: SimulatedHost): GradientModel {
    const { slowness = 1 } = this.#training ?? {};
    return this.#model(host, { slowness: host.name === FIRST_WORKER ? slowness : 1, busyShare: 0 });
  }

  ofVolunteer(host: SimulatedHost, plan: VolunteerPlan): GradientModel {
    return this.#model(host, plan);
  }

  #model(host: SimulatedHost, of: Pick<VolunteerPlan, "slowness" | "busyShare">): GradientModel {
    const { slowness, busyShare } = of;
    const { computeMaxMs = 0, isCounting = false } = this.#training ?? {};
    const random = this.#random;
    const modelOf = isCounting ? countingModel : toyModel;
    return modelOf({
      compute: () => {
        const ms = slowness * random.between({ min: 0, max: computeMaxMs });
        const busyMs = busyShare > 0 && random.next() < busyShare ? random.between(BUSY_MS) : 0;
        return new Promise((resolve) => void host.clock.after(ms + busyMs, resolve));
      },
    });
  }
}
