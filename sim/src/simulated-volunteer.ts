/**
 * A volunteer of the simulation, from its first tab to the last: it is let in by a token, computes as a tab does, and comes
 * again with its session, until it is told not to. What it sent and was told is what is checked.
 */
import { ClusterError } from "@volary/core/errors";
import { invitationSchema, type JobManifest } from "@volary/core/job";
import type { SeededRandom, SimulatedHost } from "@volary/core/testing";
import { openLeafSession, type GradientModel, type LeafEnd, type LeafSession } from "@volary/core/training";
import type { Refusal } from "@volary/ps-server";
import { lyingModel } from "./lies.ts";
import type { SimulatedGateway } from "./simulated-gateway.ts";
import type { VolunteerPlan } from "./volunteers-plan.ts";

/** One link of a volunteer to a reducer, which counts its tasks from 1. */
export interface LeafConnection {
  /** Tasks that it began. */
  readonly begun: number[];
  /** Of these, those in which it lied. */
  readonly lied: Set<number>;
  readonly accepted: { task: number; step: number; samples: number }[];
  readonly refused: { task: number; code: string }[];
}

export interface SimulatedVolunteerOptions {
  name: string;
  plan: VolunteerPlan;
  random: SeededRandom;
  host: () => SimulatedHost;
  /** To the gateway that is there. */
  gateway: () => SimulatedGateway;
  token: string;
  openModel: (host: SimulatedHost) => GradientModel;
  log: (message: string) => void;
  /** A bug. */
  onFault: (error: unknown) => void;
}

/** Nothing is waited for longer: the gateway may have crashed. */
const ANSWER_MS = 3000;
/** It dials again after so long at first, and at most. */
const BACKOFF_MS = 100;
const BACKOFF_MAX_MS = 2000;

export class SimulatedVolunteer {
  readonly name: string;
  readonly connections: LeafConnection[] = [];
  /** Why it may not come again, once it is told so. */
  ended: LeafEnd | undefined;
  /** Tabs that were closed, or crashed. */
  lost = 0;
  readonly #o: SimulatedVolunteerOptions;
  #host: SimulatedHost | undefined;
  #leaf: LeafSession | undefined;
  #secret: string | undefined;
  /** Dials since an update was last accepted. */
  #attempts = 0;

  constructor(o: SimulatedVolunteerOptions) {
    this.#o = o;
    this.name = o.name;
  }

  /** Is there a tab? */
  get isThere(): boolean {
    return this.#host?.alive === true;
  }

  /** Opens a tab. */
  come(): void {
    const host = this.#o.host();
    this.#host = host;
    this.#attempts = 0;
    this.#live(host).catch(this.#o.onFault);
  }

  /** Closes it without a word. */
  vanish(): void {
    this.lost++;
    this.#host?.crash();
  }

  hide(): void {
    this.#leaf?.pause("hidden");
  }

  show(): void {
    this.#leaf?.resume();
  }

  async #live(host: SimulatedHost): Promise<void> {
    while (!this.ended) {
      const end = await this.#takePart(host);
      this.#leaf = undefined;
      this.#o.log(`${this.name} is out: ${end.code}, ${end.reason}`);
      if (!end.mayReturn) this.ended = end;
      else await this.#wait(host);
    }
  }

  /** One session, as far as it goes. */
  async #takePart(host: SimulatedHost): Promise<LeafEnd> {
    this.#attempts++;
    const gateway = this.#o.gateway();
    const secret = this.#secret === undefined ? this.#o.token : this.#secret;
    const by = this.#secret === undefined ? "token" : "session";
    const entry = await Promise.race([
      gateway.enter(host, { by, secret, claim: `claim of ${this.name}`.padEnd(16) }),
      this.#noAnswer(host),
    ]);
    if ("code" in entry) return { code: entry.code, reason: entry.message, mayReturn: PASSING.has(entry.code) };
    this.#secret = entry.session;
    const { manifest } = invitationSchema.parse(JSON.parse(entry.invitation.text));
    try {
      const hello = { role: "leaf", name: this.name, session: entry.session } as const;
      return await this.#work(host, await host.dialer.dial(gateway.address, hello), manifest);
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      return { code: error.code, reason: error.message, mayReturn: error.retryable };
    }
  }

  async #work(
    host: SimulatedHost,
    link: Parameters<typeof openLeafSession>[0]["link"],
    manifest: JobManifest,
  ): Promise<LeafEnd> {
    const { random, plan, openModel } = this.#o;
    const connection: LeafConnection = { begun: [], lied: new Set(), accepted: [], refused: [] };
    this.connections.push(connection);
    const lies = () => {
      if (plan.lie === undefined || random.below(2) === 0) return undefined;
      connection.lied.add(connection.begun.at(-1)!);
      return plan.lie;
    };
    this.#leaf = openLeafSession({
      link,
      manifest,
      model: lyingModel(openModel(host), lies),
      clock: host.clock,
      device: "toy",
      probe: { samples: 16, computeMs: 1 },
      share: () => 1,
      events: {
        onTask: ({ task }) => connection.begun.push(task),
        onAccepted: (of) => {
          this.#attempts = 0;
          connection.accepted.push(of);
        },
        onRefused: (of) => connection.refused.push(of),
      },
    });
    return this.#leaf.closed;
  }

  #noAnswer(host: SimulatedHost): Promise<Refusal> {
    const refusal: Refusal = { code: "TIMEOUT", message: "the gateway does not answer" };
    return new Promise((resolve) => void host.clock.after(ANSWER_MS, () => resolve(refusal)));
  }

  #wait(host: SimulatedHost): Promise<void> {
    const ms = Math.min(BACKOFF_MS * 2 ** (this.#attempts - 1), BACKOFF_MAX_MS) * (0.75 + 0.5 * this.#o.random.next());
    return new Promise((resolve) => void host.clock.after(ms, resolve));
  }
}

/** Refusals that are none for good. */
const PASSING: ReadonlySet<string> = new Set(["COORDINATOR_UNAVAILABLE", "TIMEOUT", "TOO_MANY", "NO_REDUCER"]);
