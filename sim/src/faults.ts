/**
 * What goes wrong in a seed, and when: processes end, stop for a while, come back with nothing; connections end or are
 * held; nodes join and are emptied. After the last fault all is well again, and what was asked must be answered.
 */
import type { SeededRandom } from "@volary/core/testing";
import { drawnKind, NO_FAULTS, type FaultCounts, type FaultKind } from "./fault-kinds.ts";
import type { FaultPlan } from "./seed-plan.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import { Silences } from "./silences.ts";
import { Suspects } from "./suspects.ts";

export interface FaultsOptions {
  cluster: SimulatedCluster;
  random: SeededRandom;
  plan: FaultPlan;
  /** How many workers the job began with. */
  workers: number;
  /** Of the plain tables. The first one opened them: they go when it goes. */
  clients: readonly SimulatedClient[];
  /** Who asks the coordinator to empty a node. */
  operator: SimulatedClient;
  replicas: number;
}

const NODES_MAX = 5;
const WORKERS_MAX = 5;
/** A hold or pause of a PS node from here on may have it declared lost. */
const HARMLESS_MS = 1200;
const LASTING_MAX_MS = 4500;
/** Long enough for nodes that are cut off to be declared lost. */
const SPLIT_MIN_MS = 2500;
const SPLIT_MAX_MS = 5000;
/** Until the coordinator must have noticed that a connection is gone. */
const NOTICED_MS = 1500;
/** A fault that cannot be borne now is drawn again, so often. */
const DRAWS_MAX = 6;

export class Faults {
  readonly counts: FaultCounts = { ...NO_FAULTS };
  /** What went wrong that should not have. */
  readonly errors: string[] = [];
  readonly #o: FaultsOptions;
  readonly #suspects: Suspects;
  /** Workers of the first term that have not been lost: a job is over with the last one of them. */
  readonly #firstWorkers: Set<string>;
  /** Clients that have not crashed. */
  readonly #clients: SimulatedClient[];
  readonly #silences: Silences;
  readonly #draining = new Set<string>();
  /** Each resolves when a node is empty and has been stopped. */
  readonly #drains: Promise<void>[] = [];
  /** When the last of what was begun is over. */
  #overMs = 0;

  constructor(o: FaultsOptions) {
    this.#o = o;
    this.#suspects = new Suspects(o.cluster);
    this.#silences = new Silences(() => o.cluster.clock.now());
    this.#firstWorkers = new Set(o.cluster.workers);
    this.#clients = [...o.clients];
  }

  /** Resolves once everything is well again. */
  async run(): Promise<void> {
    const { random, plan } = this.#o;
    for (let n = plan.count; n > 0; n--) {
      await this.#wait(random.between({ min: 2, max: plan.everyMaxMs }));
      for (let draws = 0; draws < DRAWS_MAX && !this.#inject(drawnKind(random)); draws++);
    }
    const { clock } = this.#o.cluster;
    this.#o.cluster.relaxMemory(); // what had no room for its rows comes back
    await Promise.all(this.#drains);
    while (clock.now() < this.#overMs) await this.#wait(this.#overMs - clock.now());
  }

  /** @returns false where it would be more than a cluster must bear */
  #inject(kind: FaultKind): boolean {
    switch (kind) {
      case "crash worker":
        return this.#crashWorker();
      case "join worker":
        return this.#joinWorker();
      case "cut":
        return this.#cut();
      case "hold":
        return this.#hold();
      case "pause":
        return this.#pause();
      case "crash PS node":
        return this.#crashPsNode();
      case "join PS node":
        return this.#joinPsNode();
      case "drain":
        return this.#drain();
      case "coordinator":
        return this.#disturbCoordinator();
      case "split":
        return this.#split();
      case "crash client":
        return this.#crashClient();
      default:
        return kind satisfies never;
    }
  }

  // -- workers ---------------------------------------------------------------------------------------------

  #crashWorker(): boolean {
    const { cluster, plan, workers } = this.#o;
    const name = this.#one(cluster.workers);
    if (!plan.ofWorkers || name === undefined || !this.#loseWorker(name)) return false;
    cluster.crashWorker(name);
    this.counts.crashes++;
    // A job waits for as many workers as it asked for, so someone takes the place.
    if (cluster.workers.length < workers) void cluster.startWorker(`replacement-${this.counts.crashes}`);
    return true;
  }

  #joinWorker(): boolean {
    const { cluster, plan } = this.#o;
    if (!plan.ofWorkers || !cluster.training || cluster.workers.length >= WORKERS_MAX) return false;
    this.counts.joins++;
    cluster.note(`fault: worker joiner-${this.counts.joins} joins`);
    void cluster.startWorker(`joiner-${this.counts.joins}`);
    return true;
  }

  /** With the last worker that has the dense weights a job is lost for good: that is no fault of the cluster. */
  #loseWorker(name: string): boolean {
    if (!this.#o.cluster.training) return false;
    if (this.#firstWorkers.has(name) && this.#firstWorkers.size < 2) return false;
    this.#firstWorkers.delete(name);
    return true;
  }

  // -- connections -----------------------------------------------------------------------------------------

  #cut(): boolean {
    const { cluster, plan } = this.#o;
    const [a, b] = this.#two();
    if (a === undefined || b === undefined || a === b) return false;
    if (a === "coordinator" || b === "coordinator") {
      const other = a === "coordinator" ? b : a;
      // Who loses the coordinator's link is lost to it at once; a client is not, unless tables are there only for it.
      if (this.#clientNames.includes(other)) {
        if (other === this.#clientNames[0]) return false;
      } else if (cluster.nodes.includes(other)) {
        if (!this.#suspects.mayLose(other)) return false;
        this.#suspects.add(other, NOTICED_MS);
      } else if (!plan.ofWorkers || !cluster.workers.includes(other) || !this.#loseWorker(other)) return false;
    }
    cluster.cut(a, b);
    this.counts.cuts++;
    return true;
  }

  #hold(): boolean {
    const { cluster, random } = this.#o;
    const [a, b] = this.#two();
    if (a === undefined || b === undefined || a === b) return false;
    const ofNode = a === "coordinator" ? b : b === "coordinator" ? a : undefined;
    const forMs = this.#lasting(ofNode);
    if (forMs === undefined || (ofNode !== undefined && !this.#maySilence(ofNode, forMs))) return false;
    cluster.hold(a, b, { forMs, way: random.below(2) === 0 ? "both" : "there" });
    this.counts.holds++;
    return true;
  }

  /**
   * Some nodes, workers and clients hear nothing of the coordinator for a while, or of all others, too, and work on
   * among themselves.
   */
  #split(): boolean {
    const { cluster, random } = this.#o;
    const names = [this.#one(cluster.nodes), ...(random.below(3) === 0 ? [this.#one(cluster.nodes)] : [])];
    const forMs = random.between({ min: SPLIT_MIN_MS, max: SPLIT_MAX_MS });
    const cutOff = new Set<string>();
    for (const name of names) {
      if (name === undefined || !this.#suspects.mayLose(name)) continue;
      this.#suspects.add(name, forMs + NOTICED_MS);
      cutOff.add(name);
    }
    if (cutOff.size === 0) return false;
    // One client on this side, and others on the other, see most of what must not be.
    const client = this.#one(this.#clientNames);
    for (const name of [...cluster.workers, ...this.#clientNames]) {
      if ((name === client || random.below(3) === 0) && this.#maySilence(name, forMs)) cutOff.add(name);
    }
    cluster.split(cutOff, { from: random.below(3) > 0 ? "others" : "coordinator", forMs });
    this.#lasts(forMs);
    this.counts.splits++;
    return true;
  }

  #pause(): boolean {
    const { cluster } = this.#o;
    const name = this.#one([...cluster.nodes, ...cluster.nodes, ...cluster.workers, ...this.#clientNames]);
    const forMs = name === undefined ? undefined : this.#lasting(name);
    if (forMs === undefined || !this.#maySilence(name!, forMs)) return false;
    cluster.pause(name!, forMs);
    this.counts.pauses++;
    return true;
  }

  /** May the coordinator not hear it for a time? Of nodes that was asked before. */
  #maySilence(name: string, forMs: number): boolean {
    return this.#o.cluster.nodes.includes(name) || this.#silences.begin(name, forMs);
  }

  /** How long a fault of `name`'s link to the coordinator may last; long ones only where the node may be lost. */
  #lasting(name: string | undefined): number | undefined {
    const { random, cluster } = this.#o;
    let forMs = random.between({ min: 1, max: random.below(2) === 0 ? HARMLESS_MS : LASTING_MAX_MS });
    if (name !== undefined && cluster.nodes.includes(name) && forMs > HARMLESS_MS) {
      if (this.#suspects.mayLose(name)) this.#suspects.add(name, forMs + NOTICED_MS);
      else forMs = HARMLESS_MS;
    }
    this.#lasts(forMs);
    return forMs;
  }

  // -- clients ---------------------------------------------------------------------------------------------

  get #clientNames(): string[] {
    return this.#clients.map(({ name }) => name);
  }

  /** What it had under way may have been done, or not. */
  #crashClient(): boolean {
    const { cluster, random } = this.#o;
    if (this.#clients.length < 2) return false;
    const [client] = this.#clients.splice(1 + random.below(this.#clients.length - 1), 1);
    cluster.note(`fault: ${client!.name} crashes`);
    client!.crash();
    this.counts.crashes++;
    return true;
  }

  // -- PS nodes --------------------------------------------------------------------------------------------

  #crashPsNode(): boolean {
    const { cluster, random } = this.#o;
    const name = this.#one(cluster.nodes);
    if (name === undefined || !this.#suspects.mayLose(name)) return false;
    this.#suspects.add(name, Infinity);
    cluster.crashPsNode(name);
    this.#draining.delete(name);
    this.counts.crashes++;
    this.#later(random.between({ min: 20, max: 3000 }), () => {
      cluster.note(`${name} starts again`);
      cluster.startPsNode(name);
    });
    return true;
  }

  #joinPsNode(): boolean {
    const { cluster } = this.#o;
    if (cluster.nodes.length >= NODES_MAX) return false;
    const name = `ps-joiner-${this.counts.joins++}`;
    cluster.note(`fault: ${name} joins`);
    cluster.startPsNode(name);
    return true;
  }

  /** Empties a node and stops it, once it is empty. */
  #drain(): boolean {
    const { cluster, replicas } = this.#o;
    const { coordinator } = cluster;
    const names = cluster.nodes.filter((name) => !this.#draining.has(name));
    const name = this.#one(names);
    const number = name === undefined ? undefined : cluster.node(name)?.node?.node;
    const isThere = coordinator?.map?.nodes.some(({ node }) => node === number);
    if (name === undefined || !isThere || names.length <= replicas) return false;
    if (!this.#suspects.none) return false;
    cluster.note(`fault: ${name} is drained`);
    this.#draining.add(name);
    this.counts.drains++;
    this.#drains.push(this.#drainAndStop(name));
    return true;
  }

  async #drainAndStop(name: string): Promise<void> {
    const { cluster, operator } = this.#o;
    try {
      await operator.drain(name);
    } catch (error) {
      cluster.note(`${name} is not drained: ${String(error)}`);
      this.#draining.delete(name);
      return;
    }
    do {
      await this.#wait(200);
      if (!this.#draining.has(name)) return; // it has crashed
    } while (!(await operator.isEmpty(name)) || !this.#draining.has(name));
    this.#draining.delete(name);
    cluster.note(`${name} holds nothing and is stopped`);
    cluster.stopPsNode(name);
  }

  // -- the coordinator -------------------------------------------------------------------------------------

  #disturbCoordinator(): boolean {
    const { cluster, random, plan } = this.#o;
    if (!cluster.coordinator || plan.ofCoordinator === "none") return false;
    if (plan.ofCoordinator === "pauses" || random.below(2) === 0) {
      const forMs = random.between({ min: 50, max: LASTING_MAX_MS });
      cluster.pause("coordinator", forMs);
      this.#suspects.deafen(forMs + NOTICED_MS);
      this.#lasts(forMs);
      this.counts.pauses++;
      return true;
    }
    if (!this.#suspects.none) return false;
    cluster.crashCoordinator();
    this.counts.restarts++;
    this.#later(random.between({ min: 20, max: 3000 }), () => {
      cluster.note("the coordinator starts again");
      cluster.startCoordinator().catch((error: unknown) => this.errors.push(String(error)));
    });
    return true;
  }

  // -- small change ----------------------------------------------------------------------------------------

  /** Two processes that talk to each other; PS nodes more often than others. */
  #two(): (string | undefined)[] {
    const { cluster, plan } = this.#o;
    const { nodes, workers } = cluster;
    const clients = this.#clientNames;
    if (this.#o.random.below(8) === 0) return ["coordinator", this.#one([...clients, "trainer"])];
    const withNode = this.#one([...workers, ...clients, ...nodes, ...nodes, "coordinator", "coordinator"]);
    if (plan.ofWorkers && this.#o.random.below(5) === 0)
      return [this.#one(workers), this.#one([...workers, "coordinator"])];
    const two = [this.#one(nodes), withNode];
    return this.#o.random.below(2) === 0 ? two : two.toReversed();
  }

  #one(names: readonly string[]): string | undefined {
    return names[this.#o.random.below(Math.max(1, names.length))];
  }

  #lasts(forMs: number): void {
    this.#overMs = Math.max(this.#overMs, this.#o.cluster.clock.now() + forMs);
  }

  #later(delayMs: number, run: () => void): void {
    this.#lasts(delayMs);
    this.#o.cluster.clock.after(delayMs, run);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#o.cluster.clock.after(ms, resolve));
  }
}
