/**
 * What happens to volunteers and their gateway while a job is trained. No promise depends on any of them, so nothing is
 * left out: all of them may be gone at once.
 */
import type { SeededRandom } from "@volary/core/testing";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedVolunteers } from "./simulated-volunteers.ts";
import type { VolunteersPlan } from "./volunteers-plan.ts";

const KINDS = [
  "vanish",
  "vanish",
  "cut",
  "hold",
  "freeze",
  "freeze",
  "hide",
  "crash gateway",
  "pause gateway",
  "cut gateway",
  "hold gateway",
] as const;

/** Longer than anyone waits for a volunteer, with what its reducer knows of it. */
const LASTING_MAX_MS = 2500;
const AWAY_MAX_MS = 1000;

export class VolunteerFaults {
  readonly #o: {
    cluster: SimulatedCluster;
    volunteers: SimulatedVolunteers;
    random: SeededRandom;
    plan: VolunteersPlan["faults"];
  };
  #overMs = 0;

  constructor(o: {
    cluster: SimulatedCluster;
    volunteers: SimulatedVolunteers;
    random: SeededRandom;
    plan: VolunteersPlan["faults"];
  }) {
    this.#o = o;
  }

  /** Resolves once the gateway, and whoever comes again, is back. */
  async run(): Promise<void> {
    const { cluster, random, plan } = this.#o;
    while (!cluster.training) await this.#wait(50);
    for (let n = plan.count; n > 0; n--) {
      await this.#wait(random.between({ min: 2, max: plan.everyMaxMs }));
      this.#inject(KINDS[random.below(KINDS.length)]!);
    }
    const { clock } = cluster;
    while (clock.now() < this.#overMs) await this.#wait(this.#overMs - clock.now());
  }

  #inject(kind: (typeof KINDS)[number]): void {
    const { cluster, volunteers, random } = this.#o;
    const { all } = volunteers;
    const volunteer = all[random.below(Math.max(1, all.length))];
    const worker = cluster.workers[random.below(Math.max(1, cluster.workers.length))];
    const forMs = random.between({ min: 1, max: LASTING_MAX_MS });
    if (kind === "crash gateway") return this.#crashGateway();
    if (kind === "pause gateway") return this.#lasts(forMs, () => cluster.pause("gateway", forMs));
    if (kind === "cut gateway" || kind === "hold gateway") {
      const other = random.below(3) === 0 ? "coordinator" : worker;
      if (other === undefined) return;
      if (kind === "cut gateway") cluster.cut("gateway", other);
      else this.#lasts(forMs, () => cluster.hold("gateway", other, { forMs, way: "both" }));
      return;
    }
    if (!volunteer?.isThere || volunteer.ended) return;
    const { name } = volunteer;
    const after = (ms: number, run: () => void) => this.#lasts(ms, () => void cluster.clock.after(ms, run));
    switch (kind) {
      case "vanish":
        cluster.note(`fault: ${name} vanishes`);
        volunteer.vanish();
        if (random.below(3) > 0) after(random.between({ min: 1, max: AWAY_MAX_MS }), () => volunteer.come());
        break;
      case "cut":
        cluster.cut(name, "gateway");
        break;
      case "hold":
        this.#lasts(forMs, () =>
          cluster.hold(name, "gateway", { forMs, way: random.below(2) === 0 ? "both" : "there" }),
        );
        break;
      case "freeze":
        this.#lasts(forMs, () => cluster.pause(name, forMs));
        break;
      case "hide":
        cluster.note(`fault: ${name} is hidden for ${Math.round(forMs)} ms`);
        volunteer.hide();
        after(forMs, () => volunteer.show());
        break;
      default:
        kind satisfies never;
    }
  }

  #crashGateway(): void {
    const { cluster, random } = this.#o;
    if (!cluster.network.hostOf("gateway")!.alive) return;
    cluster.note("fault: the gateway crashes");
    cluster.gateway.crash();
    const ms = random.between({ min: 20, max: AWAY_MAX_MS });
    this.#lasts(ms, () => void cluster.clock.after(ms, () => cluster.startGateway()));
  }

  #lasts(forMs: number, begin: () => void): void {
    const { clock } = this.#o.cluster;
    this.#overMs = Math.max(this.#overMs, clock.now() + forMs);
    begin();
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#o.cluster.clock.after(ms, resolve));
  }
}
