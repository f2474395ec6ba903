/** The volunteers of a simulated job: who comes when, and what became of what they were given. */
import { seededRandom } from "@volary/core/testing";
import type { SeedModels } from "./seed-models.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import { SimulatedVolunteer } from "./simulated-volunteer.ts";
import type { VolunteersPlan } from "./volunteers-plan.ts";

export interface SimulatedVolunteersOptions {
  cluster: SimulatedCluster;
  plan: Pick<VolunteersPlan, "reducer" | "volunteers">;
  seed: number;
  /** Who invites them. */
  operator: SimulatedClient;
  models: Pick<SeedModels, "ofVolunteer">;
}

export interface VolunteerCounts {
  /** Tasks that volunteers began, those that are tried out included. */
  leafTasks: number;
  leafAccepted: number;
  leafLate: number;
  leafRefused: number;
  /** Tabs that went without a word. */
  leavesLost: number;
  leavesExpelled: number;
}

export const NO_VOLUNTEERS: VolunteerCounts = {
  leafTasks: 0,
  leafAccepted: 0,
  leafLate: 0,
  leafRefused: 0,
  leavesLost: 0,
  leavesExpelled: 0,
};

const LATE = "UPDATE_LATE";

export class SimulatedVolunteers {
  readonly all: SimulatedVolunteer[] = [];
  /** What went wrong that should not have. */
  readonly errors: string[] = [];
  readonly #o: SimulatedVolunteersOptions;

  constructor(o: SimulatedVolunteersOptions) {
    this.#o = o;
    o.cluster.startGateway();
  }

  get counts(): VolunteerCounts {
    const connections = this.all.flatMap((volunteer) => volunteer.connections);
    const refused = connections.flatMap((connection) => connection.refused);
    const late = refused.filter(({ code }) => code === LATE).length;
    return {
      leafTasks: connections.reduce((sum, { begun }) => sum + begun.length, 0),
      leafAccepted: connections.reduce((sum, { accepted }) => sum + accepted.length, 0),
      leafLate: late,
      leafRefused: refused.length - late,
      leavesLost: this.all.reduce((sum, { lost }) => sum + lost, 0),
      leavesExpelled: this.all.filter(({ ended }) => ended?.code.startsWith("UPDATE_")).length,
    };
  }

  /** Has everyone who is there been told that there is nothing more to do? */
  get areDone(): boolean {
    return this.all.every(({ ended, isThere }) => ended !== undefined || !isThere);
  }

  /** A job was submitted: each comes in its time. */
  async invite(job: number): Promise<void> {
    const { cluster, plan, operator } = this.#o;
    try {
      const tokens = await operator.invite(job, plan.volunteers.length);
      for (const [i, token] of tokens.entries()) {
        const volunteer = this.#volunteer(i, token);
        this.all.push(volunteer);
        cluster.clock.after(plan.volunteers[i]!.afterMs, () => volunteer.come());
      }
    } catch (error) {
      cluster.note(`nobody is invited: ${String(error)}`);
    }
  }

  #volunteer(i: number, token: string): SimulatedVolunteer {
    const { cluster, plan, seed, models } = this.#o;
    const name = `volunteer-${i}`;
    return new SimulatedVolunteer({
      name,
      plan: plan.volunteers[i]!,
      random: seededRandom((seed ^ (i + 1)) >>> 0),
      host: () => cluster.host(name),
      gateway: () => cluster.gateway,
      token,
      openModel: (host) => models.ofVolunteer(host, plan.volunteers[i]!),
      log: (message) => cluster.note(message),
      onFault: (error) => this.errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    });
  }
}
